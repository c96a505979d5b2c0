"""No secret reaches a log: texts, nested values and the paths of webhooks are masked."""

from __future__ import annotations

import pytest

from shared.telemetry import Redaction, new_traceparent, trace_id

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("POST /webhooks/dockerhub/s3cret HTTP/1.1", "POST /webhooks/dockerhub/*** HTTP/1.1"),
        ("/webhooks/ghcr/s3cret?x=1", "/webhooks/ghcr/***?x=1"),
        ('"/webhooks/ghcr/s3cret"', '"/webhooks/ghcr/***"'),
        ("/webhooks/ghcr/a and /webhooks/acr/b", "/webhooks/ghcr/*** and /webhooks/acr/***"),
        ("/webhooks/dockerhub", "/webhooks/dockerhub"),
        ("/webhooks/dockerhub/", "/webhooks/dockerhub/"),
        ("nothing to hide", "nothing to hide"),
        ("a whole \U0001f600, half \ud83d of one", "a whole \U0001f600, half \ufffd of one"),
    ],
)
def test_the_token_of_a_webhooks_path_is_masked(text: str, shown: str) -> None:
    assert Redaction().text(text) == shown


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [(["hunter2"], "key=***; again ***"), (["hun"], "key=hunter2; again hunter2"), ([], "key=hunter2; again hunter2")],
)
def test_known_secrets_are_masked_wherever_they_are(hidden: list[str], shown: str) -> None:
    assert Redaction(hidden).text("key=hunter2; again hunter2") == shown


@pytest.mark.parametrize("order", [1, -1])
def test_a_secret_that_begins_like_another_is_masked_whole(order: int) -> None:
    # Regression: of two tokens, one the beginning of the other, the rest of the longer one was shown at times.
    assert Redaction(["token-1", "token-1-rotated"][::order]).text("token-1, token-1-rotated") == "***, ***"


def test_every_text_of_an_event_is_masked() -> None:
    redaction = Redaction(["hunter2"])
    redaction.learn("hunter3")
    event = {
        "event": "it was hunter2",
        "count": 2,
        "nested": {"deep": ["hunter3", ("hunter2", None)]},
        "error": "/webhooks/ghcr/token",
    }
    assert redaction(None, "info", event) == {
        "event": "it was ***",
        "count": 2,
        "nested": {"deep": ["***", ["***", None]]},
        "error": "/webhooks/ghcr/***",
    }
    assert redaction.text("hunter3") == "***"


@pytest.mark.parametrize("received", [None, "", "nonsense", TRACE.upper(), f"{TRACE}0", f" {TRACE}"])
def test_a_trace_begins_where_none_came(received: str | None) -> None:
    begun = new_traceparent(received)
    assert begun != new_traceparent(received)
    assert trace_id(begun) == begun[3:35]


def test_a_trace_that_came_goes_on() -> None:
    assert new_traceparent(TRACE) == TRACE
    assert trace_id(TRACE) == "a" * 32


@pytest.mark.parametrize("traceparent", [None, "", "nonsense"])
def test_what_is_no_trace_has_no_id(traceparent: str | None) -> None:
    assert trace_id(traceparent) is None
