"""What became of a change that was sent: which pushes fail for it, which are tried apart, and what is tried again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import at, candidate, change, container, good, message, pin, record
from worker.core.landing import landed, not_made
from worker.failures.classify import Failure, Permanent, Transient
from worker.groups.health import LONG_AGO
from worker.record.record import Record
from worker.record.values import Change, Ending, Flight

TWO, FIVE = message("2"), message("5", repository="acme/jobs")
NO = Permanent("InvalidRequestContent", "arm: InvalidRequestContent (400): no")
SENT = change(tries=3)
BOTH = change({"web": "acme/shop:2", "jobs": "acme/jobs:5"}, asked={"web": "2", "jobs": "5"}, tries=3)


def flying(*generations: int) -> tuple[Flight, ...]:
    return tuple(Flight(generation=generation, sent_at=at(0)) for generation in generations)


def sending(sent: Change, **rest: Any) -> Record:
    """A change was sent for :2 on web, and for :5 on jobs as well if both were asked for."""
    containers = {"web": container(candidate(TWO))}
    if "jobs" in sent.asked:
        jobs = {"repository": "docker.io/acme/jobs", "goods": (good("4", "acme/jobs:4"),)}
        containers["jobs"] = container(candidate(FIVE, "acme/jobs:5"), **jobs)
    return record(containers, **({"change": sent, "flights": flying(sent.generation)} | rest))


def failed(result: Record) -> dict[str, str]:
    """The pushes that have ended, with their codes."""
    assert {ending.result for ending in result.outbox} <= {"failed"}
    return {ending.message.id: str(ending.code) for ending in result.outbox}


def after(now: Record, sent: Change, failure: Failure = NO, *, over: bool = True) -> Record:
    return not_made(now, sent, failure, at(9), 5, over=over)


def test_a_change_that_azure_has_answered_is_no_longer_in_flight_but_others_are() -> None:
    now = sending(SENT, flights=flying(0, 1, 2))
    assert landed(now, SENT) == now.but(flights=flying(0, 2))


@pytest.mark.parametrize("tries", [2, 1])
def test_a_change_that_failed_for_now_does_not_count_as_a_try_and_stays_in_flight(tries: int) -> None:
    now = sending(SENT.but(tries=tries), flights=flying(0, 1))
    result = after(now, SENT, Transient("ServiceUnavailable", "later"), over=False)
    assert result == now.but(change=SENT.but(tries=tries - 1))


def test_the_number_of_tries_never_falls_below_zero() -> None:
    sent = SENT.but(tries=0)
    assert after(sending(sent), sent, over=False).change == sent


@pytest.mark.parametrize("newer", [None, change(generation=2, tries=4)])
@pytest.mark.parametrize("over", [True, False])
def test_a_late_answer_does_not_count_for_the_change_that_took_its_place(newer: Change | None, *, over: bool) -> None:
    now = sending(SENT, change=newer, flights=flying(1, 2))
    assert after(now, SENT, over=over) == now


def test_the_push_that_asked_for_a_change_refused_for_good_fails() -> None:
    result = after(sending(SENT), SENT)
    (ending,) = result.outbox
    assert ending == Ending(message=TWO, result="failed", detail=NO.detail, code=NO.code, attempts=5, at=at(9))
    assert result.containers["web"].candidates == ()
    assert [each.circumstance for each in result.containers["web"].failures] == [False]


def test_the_push_was_never_on_the_group_so_nothing_is_rolled_back() -> None:
    result = after(sending(SENT), SENT)
    assert result.undone == ()
    assert result.change == SENT.but(asked={}, touched=frozenset(), tries=2, began_at=LONG_AGO)
    assert [each.moved for each in result.containers["web"].goods] == [False]


@pytest.mark.parametrize(
    ("failure", "circumstance"),
    [(NO, False), (Transient("AuthorizationFailed", "no role", circumstance=True), True)],
)
def test_a_failure_that_says_nothing_about_the_image_is_a_circumstance(failure: Failure, *, circumstance: bool) -> None:
    result = after(sending(SENT), SENT, failure)
    assert [each.circumstance for each in result.containers["web"].failures] == [circumstance]


def test_pushes_that_are_refused_together_are_tried_apart() -> None:
    now = sending(BOTH)
    result = after(now, BOTH)
    nowhere = BOTH.but(asked={}, touched=frozenset(), tries=2, began_at=LONG_AGO)
    assert result == now.but(apart=True, change=nowhere)


def test_a_circumstance_fails_all_of_them_at_once() -> None:
    # Trying each of them apart would only take as long again.
    result = after(sending(BOTH), BOTH, Transient("AuthorizationFailed", "no role", circumstance=True))
    assert failed(result) == {"2": "AuthorizationFailed", "5": "AuthorizationFailed"}
    assert not result.apart


@pytest.mark.parametrize(
    ("failure", "failing"),
    [(NO, {"2"}), (Transient("AuthorizationFailed", "no role", circumstance=True), {"2", "1.9"})],
)
def test_a_circumstance_fails_the_next_candidates_of_the_same_containers_too(
    failure: Failure, failing: set[str]
) -> None:
    older, others = candidate(message("1.9", pushed=-9)), candidate(FIVE, "acme/jobs:5")
    jobs = container(others, repository="docker.io/acme/jobs", goods=(good("4", "acme/jobs:4"),))
    now = record({"web": container(candidate(TWO), older), "jobs": jobs}, change=SENT)
    assert failed(after(now, SENT, failure)).keys() == failing


def test_pushes_that_are_refused_together_although_tried_apart_both_fail() -> None:
    result = after(sending(BOTH, apart=True), BOTH)
    assert failed(result) == {"2": NO.code, "5": NO.code}
    assert not result.apart


def test_only_the_push_that_azure_names_fails() -> None:
    named = Permanent("InaccessibleImage", "the image 'acme/jobs:5' is not accessible")
    result = after(sending(BOTH), BOTH, named)
    assert failed(result) == {"5": "InaccessibleImage"}
    assert not result.apart
    assert [each.id for each in result.containers["web"].candidates] == ["2"]


@pytest.mark.parametrize(
    ("detail", "named"),
    [
        ("acme/shop:2", True),
        ("the image 'acme/shop:2' is not accessible", True),
        ("no acme/shop:2.", True),
        ("no acme/shop:2, or so", True),
        ("no acme/shop:2.1", False),
        ("no acme/shop:2-alpine", False),
        ("no acme/shop:22", False),
        ("no docker.io/acme/shop:2", False),
        ("no my-acme/shop:2", False),
        ("no acme/shopx2", False),
    ],
)
def test_an_image_is_named_only_by_its_whole_name(detail: str, *, named: bool) -> None:
    result = after(sending(BOTH), BOTH, Permanent("InaccessibleImage", detail))
    assert (failed(result).keys() == {"2"}, result.apart) == (named, not named)


def test_one_push_on_two_containers_fails_without_being_tried_apart() -> None:
    sent = change({"web": "acme/shop:2", "blue": "acme/shop:2"}, asked={"web": "2", "blue": "2"})
    now = record(dict.fromkeys(("web", "blue"), container(candidate(TWO))), change=sent)
    result = after(now, sent)
    assert failed(result) == {"2": NO.code}
    assert not result.apart


def test_a_container_without_an_image_in_the_change_is_not_named() -> None:
    sent = change({"web": "acme/shop:2"}, asked={"web": "2", "jobs": "5"})
    result = after(sending(sent), sent, Permanent("InaccessibleImage", "'acme/shop:2' None"))
    assert failed(result) == {"2": "InaccessibleImage"}


def test_a_rollback_that_is_refused_for_good_keeps_the_reason() -> None:
    back = change({"web": "acme/shop:1"}, asked={}, tries=3)
    now = record({"web": container()}, change=back, flights=flying(1))
    result = after(now, back, Permanent("InvalidRequestContent", "no"))
    assert result == now.but(change=back.but(tries=2, refused="InvalidRequestContent: no"))


def test_a_rollback_that_is_refused_for_now_is_sent_again() -> None:
    back = change({"web": "acme/shop:1"}, asked={}, tries=3)
    now = record({"web": container()}, change=back)
    assert after(now, back, over=False) == now.but(change=back.but(tries=2, touched=frozenset(), began_at=LONG_AGO))


@pytest.mark.parametrize("over", [True, False])
def test_after_azure_has_refused_a_change_the_one_before_is_on_the_group_still(*, over: bool) -> None:
    # Regression: the group was judged by the refused one, so that its pushes were blamed for what others had broken.
    before = change({"web": "acme/shop:1.9"}, asked={"web": "1.9"}, since=-60)
    sent = SENT.but(before=before)
    assert after(sending(sent, flights=()), sent, over=over).change == before


def test_a_change_without_an_answer_may_still_come_onto_the_group() -> None:
    sent = SENT.but(before=change({"web": "acme/shop:1.9"}))
    assert after(sending(sent), sent, over=False).change == sent.but(tries=2)


@pytest.mark.parametrize("failure", [NO, Transient("AuthorizationFailed", "no role", circumstance=True)])
def test_a_rollback_by_hand_that_is_refused_for_good_brings_back_what_ran(failure: Failure) -> None:
    back = change({"web": "acme/shop:0"}, asked={"web": "back"})
    pinned = container(pin=pin(good("0")), goods=(good("1"), good("0")))
    result = after(record({"web": pinned}, change=back), back, failure)
    assert failed(result) == {"back": failure.code}
    pin_now = result.containers["web"].pin
    assert pin_now is not None
    assert (pin_now.good, pin_now.reverting) == (good("1"), True)


LIMIT = "The image 'acme/shop:2' in container group 'shop' is not accessible."


@pytest.mark.parametrize(
    ("code", "detail", "refusals", "apart"),
    [
        ("InaccessibleImage", LIMIT, [1, 0], True),
        ("InaccessibleImage", "no image is named", [1, 1], True),
        ("RegistryErrorResponse", "An error response is received from 'index.docker.io'.", [1, 1], True),
        ("ServiceUnavailable", LIMIT, [0, 0], False),
    ],
)
def test_of_several_pushes_the_one_that_can_not_be_pulled_for_now_keeps_no_other_one_waiting(
    code: str, detail: str, refusals: list[int], *, apart: bool
) -> None:
    result = after(sending(BOTH), BOTH, Transient(code, detail, circumstance=True), over=False)
    assert [item.candidates[0].refusals for item in result.containers.values()] == refusals
    assert result.apart is apart


def test_a_way_back_that_can_not_be_pulled_for_now_has_no_push_tried_apart() -> None:
    back = BOTH.but(asked={})
    now = sending(BOTH).but(change=back)
    result = after(now, back, Transient("InaccessibleImage", LIMIT, circumstance=True), over=False)
    assert ([item.candidates[0].refusals for item in result.containers.values()], result.apart) == ([0, 0], False)


def test_a_push_beside_containers_without_one_is_not_tried_apart() -> None:
    now = sending(SENT)
    now = now.but(containers=now.containers | {"blue": container()})
    assert not after(now, SENT, Transient("InaccessibleImage", LIMIT, circumstance=True), over=False).apart


def test_a_push_that_is_alone_is_not_tried_apart() -> None:
    result = after(sending(SENT), SENT, Transient("InaccessibleImage", LIMIT, circumstance=True), over=False)
    assert (result.apart, result.containers["web"].candidates[0].refusals) == (False, 1)


def test_an_image_that_can_not_be_pulled_for_hours_fails_no_push_of_another_container() -> None:
    both = sending(BOTH)
    jobs = both.containers["jobs"].but(candidates=(candidate(FIVE, "acme/jobs:5", refusals=2),))
    now = both.but(containers=both.containers | {"jobs": jobs})
    result = after(now, BOTH, Transient("InaccessibleImage", LIMIT, circumstance=True))
    assert failed(result).keys() == {"2"}


def test_an_image_that_can_not_be_pulled_for_hours_fails_its_own_pushes_alone() -> None:
    older, jobs = message("1.9", pushed=-9), {"repository": "docker.io/acme/jobs"}
    candidates = (candidate(TWO), candidate(older, refusals=3), candidate(message("1.8", pushed=-19)))
    both = {"web": container(*candidates), "jobs": container(candidate(FIVE, "acme/jobs:5"), **jobs)}
    result = after(record(both, change=BOTH), BOTH, Transient("InaccessibleImage", LIMIT, circumstance=True))
    assert failed(result).keys() == {"2", "1.9"}
