"""What is read of a registry's answers: absences, refusals and digests; any answer at all raises only our errors."""

from __future__ import annotations

import json
from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import RemoteError
from worker.adapters.registry.answers import Answer, absence, digest_of, refusal


def answer(status: int = 200, body: bytes = b"", anonymous: bool = True, **headers: str) -> Answer:
    fields = httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return Answer(httpx.URL("https://ghcr.io/v2/"), status, fields, body, anonymous)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["errors", "code", "schemaVersion"]), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_body_is_read_without_another_error_than_ours(body: bytes) -> None:
    for read in (absence, refusal, lambda given_answer: digest_of(given_answer, "sha256:")):
        with suppress(RemoteError):
            read(answer(404, body))


@pytest.mark.parametrize(
    ("code", "anonymous", "absent"),
    [
        ("MANIFEST_UNKNOWN", True, True),
        ("MANIFEST_UNKNOWN", False, True),
        ("NOT_FOUND", True, True),
        ("NAME_UNKNOWN", False, True),
        ("NAME_UNKNOWN", True, False),
        ("DENIED", False, False),
        ("UNAUTHORIZED", True, False),
        ("no code", True, False),
    ],
)
def test_not_every_404_means_that_nothing_is_there(code: str, anonymous: bool, absent: bool) -> None:
    given_answer = answer(404, json.dumps({"errors": [{"code": code}]}).encode(), anonymous)
    if absent:
        assert absence(given_answer) == code
    else:
        with pytest.raises(RemoteError):
            absence(given_answer)


@pytest.mark.parametrize(
    ("status", "anonymous", "message", "retry_after"),
    [
        (401, True, "private, and no credentials", None),
        (403, True, "private, and no credentials", None),
        (403, False, "were refused", None),
        (429, True, "answered 429", 7.0),
        (503, True, "answered 503", 7.0),
        (418, True, "answered 418", 7.0),
    ],
)
def test_a_refusal_says_why(status: int, anonymous: bool, message: str, retry_after: float | None) -> None:
    error = refusal(answer(status, anonymous=anonymous, Retry_After="7"))
    assert message in error.message
    assert (error.status, error.retry_after) == (status, retry_after)


def test_a_digest_is_of_the_bytes_of_a_manifest() -> None:
    manifest = answer(body=b'{"schemaVersion": 2}')
    assert digest_of(manifest, "sha256:").startswith("sha256:")
    assert len(digest_of(manifest, f"sha512:{'a' * 128}")) == len("sha512:") + 128
    with pytest.raises(RemoteError, match="not an image manifest"):
        digest_of(answer(body=b"<html>Welcome to the hotel's network</html>"), "sha256:")


def test_a_server_that_wants_https_is_told_apart() -> None:
    error = refusal(answer(400, b"Client sent an HTTP request to an HTTPS server."))
    assert "write `scheme: https` under `registries`" in error.message
