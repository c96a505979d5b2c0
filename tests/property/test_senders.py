"""Whatever bytes a delivery holds, a parser answers with an outcome or with Malformed, and makes nothing up."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingress.delivery import Delivery, Handshake, Ignored, Malformed, Parsed
from ingress.hosts import host_if_any, host_of
from ingress.pushes import pushes_or_reason
from shared.image import ImageReference, check_registry
from shared.push import Push
from shared.settings import SENDERS
from tests.ingress_harness import parsers
from tests.samples import all_samples

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PARSERS = parsers()
SAMPLES = {sender: [sample for sample in all_samples() if sample.sender == sender] for sender in SENDERS}

BOUNDED = settings(max_examples=40)

tricky = st.sampled_from(
    [
        "",
        "latest",
        "v2",
        "sha256:" + "0" * 64,
        "sha256-" + "0" * 64 + ".sig",
        "a@b",
        "a:b",
        "//",
        "..",
        "\ud800",
        "\x00",
    ]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | tricky
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a JSON document, as the keys and indices that lead there."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


@st.composite
def near_misses(draw: st.DrawFn, sender: str) -> tuple[dict[str, str], bytes]:
    """A sample with up to three of its places taken away or replaced."""
    sample = draw(st.sampled_from(SAMPLES[sender]))
    try:
        document = json.loads(sample.body.decode("utf-8-sig"))
    except ValueError:
        return sample.headers, sample.body
    document = {"": copy.deepcopy(document)}
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from([place for place in places(document) if place]))
        parent = document
        for key in parents:
            parent = parent[key]
        if draw(st.booleans()) and last != "":
            del parent[last]
        else:
            parent[last] = draw(documents)
    return sample.headers, json.dumps(document[""]).encode()


def parsed(sender: str, headers: dict[str, str], body: bytes) -> Parsed | None:
    fields = [(name, value.encode("latin-1", "replace")) for name, value in headers.items()]
    try:
        return PARSERS[sender].parse(Delivery.of(sender, fields, body, NOW))
    except Malformed as error:
        check_text(str(error))
        return None


def check_text(text: str) -> None:
    """Something for a person, that any log and answer can carry."""
    assert text
    text.encode()


def check(sender: str, outcome: Parsed | None, body: bytes) -> None:
    if outcome is None:
        return
    if isinstance(outcome, Ignored):
        check_text(outcome.reason)
        return
    if isinstance(outcome, Handshake):
        json.dumps(outcome.answer)
        return
    assert outcome
    assert len({push.image for push in outcome}) == len(outcome)
    for push in outcome:
        assert push.sender == sender
        assert push.image.tag == push.tag
        assert push.image.registry == push.registry
        assert push.image.repository == push.repository
        assert not push.tag.startswith(("sha256:", "sha256-"))
        assert sender == "gcr" or push.tag in body.decode("utf-8", "replace")


@pytest.mark.parametrize("sender", SENDERS)
@BOUNDED
@given(body=st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(sender: str, body: bytes) -> None:
    check(sender, parsed(sender, {"X-GitHub-Event": "package"}, body), body)


@pytest.mark.parametrize("sender", SENDERS)
@BOUNDED
@given(document=documents)
def test_any_json_is_parsed_or_refused(sender: str, document: Any) -> None:
    body = json.dumps(document).encode()
    check(sender, parsed(sender, {"X-GitHub-Event": "package"}, body), body)


@pytest.mark.parametrize("sender", SENDERS)
@BOUNDED
@given(data=st.data())
def test_a_sample_that_was_changed_a_little_is_parsed_or_refused(sender: str, data: st.DataObject) -> None:
    headers, body = data.draw(near_misses(sender))
    check(sender, parsed(sender, headers, body), body)


@BOUNDED
@given(
    content_type=st.text(st.characters(max_codepoint=255), max_size=40) | st.just("application/x-www-form-urlencoded"),
    event=st.text(st.characters(max_codepoint=255), max_size=20) | st.just("registry_package"),
    body=st.binary(max_size=100) | st.binary(max_size=50).map(lambda raw: b"payload=" + raw),
)
@example(content_type="application/x-www-form-urlencoded; charset=bogus", event="package", body=b"payload=%ff%00")
@example(content_type="application/x-www-form-urlencoded", event="package", body=b"payload=%7B%22a%22%3A1")
def test_any_headers_of_github(content_type: str, event: str, body: bytes) -> None:
    check("ghcr", parsed("ghcr", {"Content-Type": content_type, "X-GitHub-Event": event}, body), body)


hosts = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z0-9]{1,8}){1,3}\Z")
spellings = st.tuples(
    st.sampled_from(["", "//", "http://", "https://", "HTTPS://", "docker://"]),
    st.sampled_from([str.lower, str.upper, str.title]),
    st.sampled_from(["", "."]),
    st.sampled_from(["", ":443", ":80"]),
    st.sampled_from(["", "/", "/v2/", "/acme/shop:v2", "?x=/y", "#z"]),
)


@BOUNDED
@given(host=hosts, spelling=spellings)
def test_every_spelling_of_a_host_is_one_host(
    host: str, spelling: tuple[str, Callable[[str], str], str, str, str]
) -> None:
    scheme, letters, dot, port, rest = spelling
    assert host_of(f"{scheme}{letters(host)}{dot}{port}{rest}") == check_registry(host)


@BOUNDED
@given(text=st.text(max_size=30) | tricky)
def test_any_text_has_a_host_that_an_image_can_name_or_is_malformed(text: str) -> None:
    host = host_if_any(text)
    assert host is None or host_of(host) == host == check_registry(host)


images = st.builds(
    Push,
    sender=st.just("generic"),
    registry=st.sampled_from(["docker.io", "ghcr.io"]),
    repository=st.sampled_from(["acme/shop", "acme/api"]),
    tag=st.sampled_from(["v1", "v2", "latest"]),
    digest=st.none() | st.sampled_from(["sha256:" + "1" * 64, "sha256:" + "2" * 64]),
)
timed = st.tuples(images, st.integers(0, 3)).map(
    lambda item: item[0].model_copy(update={"pushed_at": NOW.replace(day=item[1] + 1)})
)
ignorable = st.builds(Ignored, st.sampled_from(["untagged", "a delete", "a chart", "a pull"]))


@BOUNDED
@given(st.lists(images | ignorable))
def test_settling_keeps_the_last_push_of_every_tag(results: list[Push | Ignored]) -> None:
    check_settled(results, {push.image: push for push in results if isinstance(push, Push)})


@BOUNDED
@given(st.lists(timed | ignorable))
def test_settling_keeps_the_newest_push_of_every_tag(results: list[Push | Ignored]) -> None:
    pushes = [result for result in results if isinstance(result, Push)]
    by_time = sorted(pushes, key=lambda push: push.pushed_at or NOW)  # a stable order: of equal times the last counts
    check_settled(results, {push.image: push for push in by_time})


def check_settled(results: list[Push | Ignored], expected: dict[ImageReference, Push]) -> None:
    outcome = pushes_or_reason(results)
    if not expected:
        assert isinstance(outcome, Ignored)
        assert outcome.reason
        return
    assert isinstance(outcome, list)
    assert {push.image: push for push in outcome} == expected
    assert len(outcome) == len(expected)
