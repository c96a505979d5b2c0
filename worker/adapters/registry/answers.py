"""A registry's answers, and what is read of them: digests, absences, refusals. Pure.

Error bodies: github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from typing import Any

import httpx

from shared.errors import RemoteError, retry_after

SERVICE = "registry"
_CODE = re.compile(r"[A-Z_]{1,40}")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, and whether it was given to an anonymous request."""

    url: httpx.URL
    status: int
    headers: httpx.Headers
    body: bytes
    anonymous: bool = True


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object that the body is; empty if it is anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def digest_of(answer: Answer, like: str) -> str:
    """The digest of a manifest's bytes, by the algorithm of the digest `like`. Raises RemoteError for anything else."""
    if json_object(answer.body).get("schemaVersion") != 2:
        raise bad_answer("its answer is no image manifest")
    algorithm = like.split(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, answer.body).hexdigest()}"


def absence(answer: Answer) -> str:
    """The code with which a registry says 404; raises RemoteError for a 404 that may mean something else."""
    match json_object(answer.body):
        case {"errors": [{"code": str(code)}, *_]} if _CODE.fullmatch(code):
            # A target runs an image of this repository: if strangers can't see it, it is rather private than gone.
            hidden_from_strangers = code == "NAME_UNKNOWN" and answer.anonymous
            if code in {"UNAUTHORIZED", "DENIED"} or hidden_from_strangers:
                raise refusal(replace(answer, status=403))
            return code
    # A proxy's page, or another server's at this address: it says nothing of the image.
    raise bad_answer("it answered 404, but not as a registry does")


def refusal(answer: Answer) -> RemoteError:
    """The error for an answer that does not give what was asked for."""
    if answer.status not in {401, 403}:
        code, message = f"Http{answer.status}", f"answered {answer.status}"
        return RemoteError(SERVICE, answer.status, code, message, retry_after(answer.headers))
    if answer.anonymous:
        message = "private, and no credentials are configured for it"
    else:
        message = "the credentials that are configured for it were refused"
    return RemoteError(SERVICE, answer.status, "Unauthorized", message)


def bad_answer(what: str) -> RemoteError:
    """The error for an answer that can't be a registry's."""
    return RemoteError(SERVICE, None, "BadGateway", what)
