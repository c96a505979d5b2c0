"""The public keys of an OpenID Connect issuer, fetched from its JWKS document (RFC 7517 §5) and cached."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import httpx
import jwt

from shared.errors import RemoteError
from shared.time_limit import TimeLimit

_TIME_LIMIT = 3.0
_LIFESPAN = 3600.0
_LARGEST_DOCUMENT, _MOST_KEYS = 256 * 1024, 100
# Seconds between fetches for unknown key ids. Keys rotate, so an unknown id may be new; but anybody can invent one, and
# forged tokens must not cause a flood of fetches.
_PAUSE, _PAUSE_AFTER_FAILURE = 30.0, 5.0
_FAILURES = (
    jwt.PyJWTError,
    httpx.HTTPError,
    RemoteError,
    ValueError,
    TypeError,
    RecursionError,
)
"""What a key server that is down, or a document that holds anything at all, may raise."""


class KeyServer:
    """Keys by their ids, from the JWKS document at `url`. Safe to share between threads; one of them fetches."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._limit = TimeLimit("key server", slots=2, clock=clock)
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetch_again_at = clock()
        self._stale_at = clock()
        self._failure: RemoteError | None = None

    def find(self, key_id: str) -> jwt.PyJWK | None:
        """The signing key with this id, None if the issuer has none; raises RemoteError if that cannot be found out.

        While the issuer can't be reached, the keys that were fetched before stay valid.
        """
        # Without the lock: a fetch for a forged key id may hold it, and must not delay other deliveries.
        key = self._keys.get(key_id)
        if key and self._clock() < self._stale_at:
            return key
        with self._lock:
            # Asked again under the lock: another delivery may have fetched the keys while this one waited.
            now = self._clock()
            is_current = key_id in self._keys and now < self._stale_at
            if not is_current and now >= self._fetch_again_at:
                self._fetch()
            key = self._keys.get(key_id)
            # With a failure nobody knows whether the key exists: 503, so that the sender tries again, rather than 401.
            if key is None and self._failure:
                raise self._failure
            return key

    def _fetch(self) -> None:
        try:
            keys = self._limit.run(
                lambda: signing_keys(self._url), self._clock() + _TIME_LIMIT
            )
        except _FAILURES as error:
            # The keys that are there stay valid: an issuer that is down has not withdrawn them.
            self._failure = RemoteError(
                "key server", None, "Unreachable", str(error)[:200]
            )
            self._fetch_again_at = self._clock() + _PAUSE_AFTER_FAILURE
            return
        self._failure = None
        self._keys = {str(key.key_id): key for key in keys}
        self._fetch_again_at = self._clock() + _PAUSE
        self._stale_at = self._clock() + _LIFESPAN


def signing_keys(url: str) -> list[jwt.PyJWK]:
    """The keys for signatures of a JWKS document, which is bounded (PyJWT's own client takes one of any size).

    Raises HTTPError, ValueError or PyJWTError.
    """
    document = bytearray()
    # Not compressed: a small compressed document could expand to a huge one, past the limit.
    with httpx.stream(
        "GET", url, timeout=_TIME_LIMIT / 2, headers={"Accept-Encoding": "identity"}
    ) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_raw():
            document += chunk
            if len(document) > _LARGEST_DOCUMENT:
                raise ValueError(
                    f"the key document has more than {_LARGEST_DOCUMENT} bytes"
                )
    found = json.loads(document)
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list) or len(entries) > _MOST_KEYS:
        raise ValueError(f"the key document is not a list of at most {_MOST_KEYS} keys")
    keys = [key for key in map(_signing_key, entries) if key]
    if not keys:
        raise ValueError("the key document contains no key for signatures")
    return keys


def _signing_key(entry: object) -> jwt.PyJWK | None:
    """The key of one entry, None if that is none for signatures. One that is odd must not take the others with it."""
    if not isinstance(entry, dict):
        return None
    key_id, use = entry.get("kid"), entry.get("use")
    # `use` is optional (RFC 7517 §4.2). Where it is there, a key for encryption must not verify a signature.
    is_for_signatures = isinstance(key_id, str) and key_id and use in ("sig", None)
    if not is_for_signatures:
        return None
    try:
        return jwt.PyJWK(entry)
    except _FAILURES:
        return None
