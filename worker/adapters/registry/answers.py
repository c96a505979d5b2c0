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
from shared.image import InvalidImage, check_digest

SERVICE = "registry"
_CODE = re.compile(r"[A-Z_]{1,40}")
# What a server says that is written in Go, as most registries are.
_WANTS_TLS = b"HTTP request to an HTTPS server"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, when it came (POSIX time), and whether it was given to an anonymous request.

    `why_anonymous` says so where there are credentials that could not be shown.
    """

    url: httpx.URL
    status: int
    headers: httpx.Headers
    body: bytes
    anonymous: bool = True
    why_anonymous: str | None = None
    at: float | None = None


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object that the body is; empty if it is anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def digest_of(answer: Answer, like: str) -> str:
    """The digest of a manifest's bytes, by the algorithm of the digest `like`. Raises RemoteError for anything else."""
    # A page of a proxy has a digest, too. Rolled out, it would be an image that no registry has.
    if json_object(answer.body).get("schemaVersion") not in (1, 2):
        raise bad_answer("its answer is not an image manifest")
    algorithm = like.split(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, answer.body).hexdigest()}"


def told_digest(answer: Answer) -> str | None:
    """The digest that an answer's header names, None without a usable one."""
    value = answer.headers.get("Docker-Content-Digest", "").strip().strip('"')
    try:
        return check_digest(value)
    except InvalidImage:
        return None


def absence(answer: Answer) -> str:
    """The code with which a registry says 404; raises RemoteError for a 404 that may mean something else."""
    match json_object(answer.body):
        case {"errors": [{"code": str(code)}, *_]} if _CODE.fullmatch(
            code := code.upper()
        ):
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
        if _WANTS_TLS in answer.body:
            message += " over plain http but requires https: write `scheme: https` under `registries`"
        return RemoteError(
            SERVICE,
            answer.status,
            code,
            message,
            retry_after(answer.headers, answer.at),
        )
    if answer.anonymous:
        message = (
            answer.why_anonymous or "private, and no credentials are configured for it"
        )
    else:
        message = "the credentials that are configured for it were refused"
    return RemoteError(SERVICE, answer.status, "Unauthorized", message)


def bad_answer(what: str) -> RemoteError:
    """The error for an answer that can't be a registry's."""
    return RemoteError(SERVICE, None, "BadGateway", what)
