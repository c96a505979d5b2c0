"""RemoteError's text, and how long a server asks its clients to wait."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from shared.azure_errors import translated
from shared.errors import LONGEST_RETRY_AFTER, RemoteError, retry_after

NOON = 1_767_268_800.0
"""2026-01-01, 12:00 UTC."""


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": " 7 "}, 7),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "86400"}, LONGEST_RETRY_AFTER),
        ({"Retry-After": "Thu, 01 Jan 2026 12:01:30 GMT"}, 90),
        ({"Retry-After": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0),
        ({"Retry-After": "Fri, 02 Jan 2026 12:00:00 GMT"}, LONGEST_RETRY_AFTER),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-7"}, None),
        ({"Retry-After": "7.5"}, None),
        ({"Retry-After": ""}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOON) == seconds


def test_a_date_says_nothing_without_a_clock() -> None:
    assert retry_after({"Retry-After": "Thu, 01 Jan 2026 12:01:30 GMT"}) is None


def test_azures_errors_know_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.azure_errors.time", SimpleNamespace(time=lambda: NOON))
    response = SimpleNamespace(
        status_code=503, reason="", headers={"Retry-After": "Thu, 01 Jan 2026 12:01:30 GMT"}, text=lambda *_: ""
    )
    with pytest.raises(RemoteError) as caught, translated("queue"):
        raise HttpResponseError("busy", response=response)
    assert (caught.value.status, caught.value.retry_after) == (503, 90)


DETAILS = [
    {"code": "RegistryErrorResponse", "message": "docker.io answers with an error"},
    {"code": "MultipleErrorsOccurred", "message": "see details", "details": [{"code": "InaccessibleImage"}]},
]


@pytest.mark.parametrize(
    ("details", "inner", "told"),
    [
        ([], (), "see details"),
        (
            DETAILS,
            ("RegistryErrorResponse", "MultipleErrorsOccurred/InaccessibleImage"),
            "see details; RegistryErrorResponse: docker.io answers with an error; MultipleErrorsOccurred: see details; "
            "InaccessibleImage: ",
        ),
        (
            [{"code": "InaccessibleImage", "message": "acme/shop:2", "details": [{"message": "why"}, {"code": "B"}]}],
            ("InaccessibleImage/", "InaccessibleImage/B"),
            "see details; InaccessibleImage: acme/shop:2; : why; B: ",
        ),
    ],
)
def test_what_an_error_wraps_is_told_with_it(details: list[Any], inner: tuple[str, ...], told: str) -> None:
    body = json.dumps({"error": {"code": "MultipleErrorsOccurred", "message": "see details", "details": details}})
    response = SimpleNamespace(status_code=400, reason="", headers={}, text=lambda *_: body)
    with pytest.raises(RemoteError) as caught, translated("arm"):
        raise HttpResponseError("no", response=response)
    assert (caught.value.code, caught.value.inner, caught.value.message) == ("MultipleErrorsOccurred", inner, told)


def test_codes_are_words_and_are_cut_where_they_are_none() -> None:
    long = "x" * 50_000
    body = json.dumps({"error": {"code": long, "message": "m", "details": [{"code": long, "message": "n"}]}})
    response = SimpleNamespace(status_code=400, reason="", headers={}, text=lambda *_: body)
    with pytest.raises(RemoteError) as caught, translated("arm"):
        raise HttpResponseError("no", response=response)
    assert (caught.value.code, caught.value.inner) == ("x" * 128, ("x" * 128,))


def test_as_many_and_as_deep_details_as_anybody_sends_are_read_up_to_a_bound() -> None:
    deep: dict[str, Any] = {"code": "Innermost"}
    for _ in range(50):
        deep = {"code": "C", "details": [deep]}
    many = {"code": "M", "details": [{"code": "D"}] * 50}
    for details, most in (([deep], 8), ([many], 20)):
        body = json.dumps({"error": {"code": "MultipleErrorsOccurred", "message": "m", "details": details}})
        response = SimpleNamespace(status_code=400, reason="", headers={}, text=lambda *_, body=body: body)
        with pytest.raises(RemoteError) as caught, translated("arm"):
            raise HttpResponseError("no", response=response)
        assert caught.value.message.count(";") == most
        assert {path.count("/") for path in caught.value.inner} == {7 if details == [deep] else 1}


@pytest.mark.parametrize(("status", "text"), [(409, "arm: Busy (409): try later"), (None, "arm: Busy: try later")])
def test_an_error_says_who_and_what(status: int | None, text: str) -> None:
    assert str(RemoteError("arm", status, "Busy", "try later")) == text
