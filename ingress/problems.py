"""The error answers of the ingress, each written for the person who configured the webhook."""

from __future__ import annotations

from shared.problem import Problem

RETRY_AFTER = "5"
"""Seconds after which a sender should try again."""


def malformed(detail: str) -> Problem:
    """The request is not what its sender sends: sending it again can't help."""
    return Problem(400, f"{detail}; docs/senders.md shows what is expected")


def unauthorized(accepted: list[str]) -> Problem:
    """No valid secret; `accepted` says where it may be given."""
    detail = f"no valid secret; it may be given as {', or as '.join(accepted)}"
    return Problem(401, detail, {"WWW-Authenticate": 'Bearer realm="aci-hooks"'})


def unavailable(detail: str) -> Problem:
    """Nothing was accepted, so nothing is lost: send it again."""
    return Problem(503, detail, {"Retry-After": RETRY_AFTER})
