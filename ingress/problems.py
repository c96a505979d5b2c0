"""The errors that the ingress answers, each with what whoever set the webhook up should know."""

from __future__ import annotations

from shared.problem import Problem

RETRY_AFTER = "5"
"""Seconds after which a sender that can should come again."""


def malformed(detail: str) -> Problem:
    """The request is not what its sender sends: sending it again cannot help."""
    return Problem(400, f"{detail}; docs/senders.md shows what is expected")


def unauthorized(accepted: list[str]) -> Problem:
    """No accepted secret; `accepted` says where one may be put."""
    detail = f"no accepted secret; it may be given as {', or as '.join(accepted)}"
    return Problem(401, detail, {"WWW-Authenticate": 'Bearer realm="aci-hooks"'})


def unavailable(detail: str) -> Problem:
    """Nothing was lost, as nothing was taken: send it again."""
    return Problem(503, detail, {"Retry-After": RETRY_AFTER})
