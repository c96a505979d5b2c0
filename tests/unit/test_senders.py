"""Every sample of every sender, through its pure parser and through the whole application."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from ingress.authentication import Oidc
from ingress.delivery import Delivery, Handshake, Ignored, Malformed
from ingress.payload import MAX_ELEMENTS
from ingress.pushes import MAX_PUSHES
from shared.image import ImageReference
from shared.push import Push
from shared.settings import SENDERS, SENDERS_WITHOUT_SECRETS
from tests.ingress_harness import TOKEN, RecordingQueue, client_for, parsers
from tests.samples import Sample, all_samples, load

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PARSERS = parsers()
SAMPLES = all_samples()


def delivery(sender: str, body: bytes, headers: dict[str, str] | None = None) -> Delivery:
    fields = [(name, value.encode()) for name, value in (headers or {}).items()]
    return Delivery.of(sender, fields, body, NOW)


def as_expected(push: Push) -> dict[str, Any]:
    return {"image": str(push.image), "digest": push.digest, "pushed_at": push.pushed_at, "pusher": push.pusher}


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_parser(sample: Sample) -> None:
    expected = sample.expected
    parse = PARSERS[sample.sender].parse
    if expected["status"] == 400:
        with pytest.raises(Malformed) as raised:
            parse(delivery(sample.sender, sample.body, sample.headers))
        assert expected["detail"] in str(raised.value)
        return
    outcome = parse(delivery(sample.sender, sample.body, sample.headers))
    if isinstance(outcome, Handshake):
        assert outcome.answer == expected["answer"]
    elif isinstance(outcome, Ignored):
        assert expected["reason"] in outcome.reason
    else:
        wanted = [
            {**push, "pushed_at": push["pushed_at"] and datetime.fromisoformat(push["pushed_at"])}
            for push in expected["pushes"]
        ]
        assert [as_expected(push) for push in outcome] == wanted
        assert {push.sender for push in outcome} == {sample.sender}
        assert [push.repository for push in outcome] == [push.image.repository for push in outcome]


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_each_sample_gets_its_answer(sample: Sample) -> None:
    queue = RecordingQueue()
    answer = client_for(queue).post(f"/webhooks/{sample.sender}/{TOKEN}", data=sample.body, headers=sample.headers)
    assert answer.status_code == sample.expected["status"], answer.get_data(as_text=True)
    images = [str(message.push.image) for message in queue.sent]
    assert images == [push["image"] for push in sample.expected.get("pushes", [])]


@pytest.mark.parametrize("sender", SENDERS)
def test_every_sender_has_samples_of_each_kind(sender: str) -> None:
    statuses = {sample.expected["status"] for sample in SAMPLES if sample.sender == sender}
    assert statuses == {200, 202, 400}


def test_the_settings_know_which_senders_have_no_secrets() -> None:
    without = {name for name, sender in PARSERS.items() if all(isinstance(scheme, Oidc) for scheme in sender.accepts)}
    assert without == SENDERS_WITHOUT_SECRETS


def test_nexus_without_its_registry_is_ignored_and_says_so() -> None:
    outcome = parsers(nexus="")["nexus"].parse(delivery("nexus", load("nexus", "push").body))
    assert isinstance(outcome, Ignored)
    assert "ACI_HOOKS_NEXUS_REGISTRY" in outcome.reason


def test_too_many_pushes_in_one_delivery_are_refused() -> None:
    def quay(count: int) -> bytes:
        tags = ",".join(f'"v{number}"' for number in range(count))
        return f'{{"docker_url": "quay.io/acme/shop", "updated_tags": [{tags}]}}'.encode()

    pushes = PARSERS["quay"].parse(delivery("quay", quay(MAX_PUSHES)))
    assert isinstance(pushes, list)
    assert len(pushes) == MAX_PUSHES
    with pytest.raises(Malformed, match="more than"):
        PARSERS["quay"].parse(delivery("quay", quay(MAX_PUSHES + 1)))


BATCHES: dict[str, Callable[[list[Any]], object]] = {
    "quay": lambda events: {"docker_url": "quay.io/acme/shop", "updated_tags": events},
    "harbor": lambda events: {
        "type": "PUSH_ARTIFACT",
        "event_data": {"resources": events, "repository": {"repo_full_name": "a/b"}},
    },
    "acr": lambda events: events,
    "distribution": lambda events: {"events": events},
}


@pytest.mark.parametrize("sender", BATCHES)
def test_of_too_many_events_none_is_read(sender: str) -> None:
    # Regression: a megabyte of them took seconds of the processor, for which all other deliveries waited.
    many = delivery(sender, json.dumps(BATCHES[sender]([0] * (MAX_ELEMENTS + 1))).encode())
    if sender == "distribution":  # which would repeat a refused envelope without end
        outcome = PARSERS[sender].parse(many)
        assert outcome == Ignored("events has 5001 elements, more than 5000")
        return
    with pytest.raises(Malformed, match="has 5001 elements, more than 5000"):
        PARSERS[sender].parse(many)


def test_quays_form_of_2013_is_bounded_as_well() -> None:
    tags = {f"v{number}": "image" for number in range(MAX_ELEMENTS + 1)}
    body = json.dumps({"docker_url": "quay.io/acme/shop", "updated_tags": tags}).encode()
    with pytest.raises(Malformed, match="updated_tags has 5001 elements"):
        PARSERS["quay"].parse(delivery("quay", body))


def test_too_many_pushes_do_not_block_a_sender_that_repeats_what_is_refused() -> None:
    event = json.loads(load("distribution", "push").body)["events"][0]
    events = [{**event, "target": {**event["target"], "tag": f"v{number}"}} for number in range(MAX_PUSHES + 1)]
    outcome = PARSERS["distribution"].parse(delivery("distribution", json.dumps({"events": events}).encode()))
    assert isinstance(outcome, Ignored)
    assert "more than" in outcome.reason


@pytest.mark.parametrize(
    "fields",
    [
        [("X-GitHub-Event", b"package"), ("x-github-event", b"ping")],
        [("X-GitHub-Event", b"package,package")],  # as a WSGI server gives it
    ],
)
def test_a_repeated_event_header_is_ambiguous(fields: list[tuple[str, bytes]]) -> None:
    sample = load("ghcr", "push")
    with pytest.raises(Malformed, match="repeated"):
        PARSERS["ghcr"].parse(Delivery.of("ghcr", fields, sample.body, NOW))


@pytest.mark.parametrize(
    ("pushed_at", "expected"),
    [
        ("1765362245", datetime(2025, 12, 10, 10, 24, 5, tzinfo=UTC)),
        ("1.765362245e9", datetime(2025, 12, 10, 10, 24, 5, tzinfo=UTC)),
        ("1e999", None),
        ("-1e300", None),
        ("99999999999999999999", None),
        ("0", None),
        ("true", None),
        ('"2025-12-10T10:24:05"', None),
        ('"0001-01-01T00:00:00Z"', None),
        ('"9999-12-31T23:59:59-12:00"', None),
        ('"soon"', None),
        ("[]", None),
        ("null", None),
    ],
)
def test_times_that_nobody_can_use_are_none(pushed_at: str, expected: datetime | None) -> None:
    body = f'{{"push_data": {{"tag": "v2", "pushed_at": {pushed_at}}}, "repository": {{"repo_name": "acme/shop"}}}}'
    outcome = PARSERS["dockerhub"].parse(delivery("dockerhub", body.encode()))
    assert isinstance(outcome, list)
    assert [push.pushed_at for push in outcome] == [expected]


@pytest.mark.parametrize(("pusher", "expected"), [("x" * 300, "x" * 256), (7, None), ("", None), ("\ud800", None)])
def test_an_odd_pusher_does_not_stop_a_push(pusher: object, expected: str | None) -> None:
    body = {"push_data": {"tag": "v2", "pusher": pusher}, "repository": {"repo_name": "acme/shop"}}
    outcome = PARSERS["dockerhub"].parse(delivery("dockerhub", json.dumps(body).encode()))
    assert isinstance(outcome, list)
    assert outcome[0].pusher == expected
    assert outcome[0].image == ImageReference("docker.io", "acme/shop", "v2")
