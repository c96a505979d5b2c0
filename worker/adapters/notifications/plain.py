"""Plain JSON: a notice posted to a webhook that belongs to no service of Apprise."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx

from shared.local_hosts import is_local

_TIMEOUT = httpx.Timeout(5.0, connect=2.0)


def is_acceptable(url: str) -> bool:
    """May a notice be posted there: is it https, or http at a local host?"""
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return False
    return bool(parts.host) and (
        parts.scheme == "https" or (parts.scheme == "http" and is_local(parts.host))
    )


def post_json(url: str, body: Mapping[str, Any]) -> int:
    """Post it and return the status; the answer is not read, redirects are not followed. Raises httpx.HTTPError."""
    # Streamed, because an answer of any size may come, and nobody reads it.
    with _client().stream("POST", url, json=body) as response:
        return response.status_code


@cache
def _client() -> httpx.Client:
    # At INFO httpx logs the URL of every request.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Reading the certificates is the slow part, so that is done once; no connection is worth keeping. A local host
    # is asked without the environment's proxy.
    return httpx.Client(
        timeout=_TIMEOUT,
        mounts={"http://": None},
        limits=httpx.Limits(max_keepalive_connections=0),
    )
