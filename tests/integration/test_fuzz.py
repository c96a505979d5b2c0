"""A short fuzz: mutated requests for a real ingress, mutated messages for a real worker. `make fuzz` is longer."""

from __future__ import annotations

from collections import Counter

import pytest

from shared.settings import SENDERS
from tests.azurite import Azurite
from tests.fuzz.answers import Answer, breaches, split
from tests.fuzz.backlog import messages
from tests.fuzz.deliveries import Fuzzed, draw
from tests.fuzz.handling import handled
from tests.fuzz.letters import draw_message
from tests.fuzz.memory import growth, tenths, verdict
from tests.fuzz.onslaught import requests
from tests.ingress_harness import TOKEN

SEED = 11


def test_2000_fuzzed_requests_break_no_promise(azurite: Azurite) -> None:
    done = requests(azurite.connection_string, 2000, SEED)
    assert done.violations == []
    assert done.tally.requests >= 2000
    assert done.queued > 100
    assert {"200", "202", "400", "401", "404", "405"} <= set(done.tally.statuses)


def test_500_fuzzed_messages_break_no_promise(azurite: Azurite) -> None:
    done = messages(azurite, 500, SEED)
    assert done.violations == []
    assert done.ends.total() >= 490
    assert {"undecodable", "ignored", "look"} <= set(done.ends)


def test_1000_more_break_none_in_memory() -> None:
    done = handled(1000, SEED)
    assert done.violations == []
    assert done.ends.total() == done.sent == 1000


def test_a_number_and_a_seed_make_one_request_and_one_message() -> None:
    target = {"subscription": "s", "resource_group": "r", "container_group": "g"}
    numbers = range(300)
    assert [draw(SEED, number) for number in numbers] == [draw(SEED, number) for number in numbers]
    of_seeds = [[draw_message(seed, number, target, ["ghcr.io/a/b"]) for number in numbers] for seed in (1, 1, 2)]
    assert of_seeds[0] == of_seeds[1] != of_seeds[2]


def test_every_sender_is_fuzzed_in_every_way() -> None:
    drawn = [draw(SEED, number) for number in range(6000)]
    assert set(Counter(request.kind for request in drawn)) == {"whole", "torn", "pipelined", "spoilt"}
    for sender in SENDERS:
        assert sum(f"/webhooks/{sender}".encode() in request.wire for request in drawn) > 50
    assert 0.05 < sum(not request.may_be_taken for request in drawn) / len(drawn) < 0.3


PROVEN = Fuzzed(1, "whole", b"")
UNPROVEN = Fuzzed(1, "whole", b"", may_be_taken=False)
PROBLEM = {"content-type": "application/problem+json"}
TAKEN = Answer(202, {"content-type": "application/json"}, b'{"pushes": [{}]}', closes=False)


@pytest.mark.parametrize(
    ("request_", "answer", "breach"),
    [
        (PROVEN, Answer(500, PROBLEM, b'{"status": 500}', closes=False), "STATUS"),
        (PROVEN, Answer(400, {}, b"no", closes=False), "NO PROBLEM"),
        (PROVEN, Answer(400, PROBLEM, b'{"status": 401}', closes=False), "NO PROBLEM"),
        (PROVEN, Answer(503, PROBLEM, b'{"status": 503}', closes=False), "NO RETRY-AFTER"),
        (PROVEN, Answer(400, PROBLEM, b'{"status": 400, "detail": "%s"}' % TOKEN.encode(), closes=False), "SECRET"),
        (UNPROVEN, TAKEN, "TAKEN"),
        (PROVEN, Answer(202, {"content-type": "application/json"}, b"{}", closes=False), "STATUS"),
    ],
)
def test_a_bad_answer_is_seen(request_: Fuzzed, answer: Answer, breach: str) -> None:
    (found,) = breaches(request_, answer)
    assert found.startswith(breach)
    assert list(breaches(PROVEN, TAKEN)) == []


def test_answers_are_told_apart() -> None:
    two = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 404 Not Found\r\n"
    first, rest = split(two)
    assert first
    assert (first.status, first.body, rest) == (200, b"{}", b"HTTP/1.1 404 Not Found\r\n")
    assert split(rest) == (None, rest)


def test_growth_in_the_last_half_of_a_run_is_seen() -> None:
    warming_up = [float(number) for number in range(50, 100)] + [100.0] * 50
    growing = [100.0 + number / 2 for number in range(100)]
    assert list(growth("it", warming_up)) == list(growth("it", growing[:19])) == list(growth("it", [])) == []
    assert list(growth("it", growing)) == ["MEMORY: it grew from 122 to 147 MiB in the last half"]
    assert verdict(growing) == "GROWS (+20.4 % over the last half)"
    assert (tenths([1.0, 2.0, 3.0]), tenths([])) == ([1.0, 2.0, 3.0], [])
    assert verdict(warming_up).startswith("flat")
    assert verdict(growing[:19]).startswith("too short")
