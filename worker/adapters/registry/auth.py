"""How a registry wants to be asked: challenges, tokens, and the memory of what was granted.

Sources: distribution.github.io/distribution/spec/auth/token (the Bearer scheme), RFC 9110 §11.6.1 (the header).
All pure but for Authorisations, which remembers.
"""

from __future__ import annotations

import re
import threading
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field

import httpx

from shared.image import ImageReference
from worker.adapters.registry.answers import Answer, bad_answer, json_object
from worker.adapters.registry.urls import safe_url

LONGEST_CHALLENGE, LONGEST_TOKEN, REMEMBERED = 8192, 16384, 1024
DEFAULT_LIFE, LONGEST_LIFE, BASIC_LIFE = 60.0, 3600.0, 300.0
"""Seconds that a grant is used: of a token whose server does not say (the specification's own figure), of any token,
and of a user name and password."""
MARGIN = 10.0
"""Seconds before its expiry in which a token is not used any more: it must outlast the request, and clocks differ."""

_PIECE = re.compile(
    r"""[\s,]*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)"""
    r"""(?:\s*(?P<equals>=)\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]*)))?""",
    re.DOTALL,
)
_TOKEN = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_TOKEN}}}")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in which a server wants to be asked: the scheme and the names of its parameters in lower case."""

    scheme: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Authorisation:
    """The value of an Authorization header, None for none; `anonymous`: no credentials stand behind it."""

    header: str | None = field(default=None, repr=False)
    anonymous: bool = True


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Every challenge in the WWW-Authenticate headers. Total: what can't be understood is passed over."""
    found: list[tuple[str, dict[str, str]]] = []
    parameters: dict[str, str] | None
    for text in headers:
        text = text[:LONGEST_CHALLENGE]
        at, parameters = 0, None
        while at < len(text):
            piece = _PIECE.match(text, at)
            if piece is None:
                # Whatever stands here, the next element begins behind the next comma.
                at = text.find(",", at) + 1 or len(text)
                continue
            at = piece.end()
            if not piece["equals"]:
                parameters = {}
                found.append((piece["name"].lower(), parameters))
            elif parameters is not None:
                parameters.setdefault(piece["name"].lower(), _value(piece))
    return tuple(Challenge(scheme, parameters) for scheme, parameters in found)


def challenge_of(answer: Answer) -> Challenge:
    """The challenge to meet: Bearer before Basic, which shows the password with every request. Raises RemoteError."""
    by_scheme: dict[str, Challenge] = {}
    for challenge in parse_challenges(answer.headers.get_list("WWW-Authenticate")):
        if challenge.scheme == "basic" or (challenge.scheme == "bearer" and challenge.parameters.get("realm")):
            by_scheme.setdefault(challenge.scheme, challenge)
    if not by_scheme:
        raise bad_answer("it wants an authorisation of a kind that is not known")
    return by_scheme.get("bearer") or by_scheme["basic"]


def token_url(challenge: Challenge, image: ImageReference, local: bool) -> httpx.URL:
    """Where to get a token that answers the challenge. `local`: the registry itself is asked over plain http.

    The challenge's scope is asked for, since registries differ (Azure's wants `metadata_read` for a list of tags);
    without one, the right to pull. Raises RemoteError for a realm that nothing may be sent to.
    """
    realm = safe_url(challenge.parameters.get("realm", ""), None, local)
    scopes = challenge.parameters.get("scope", "").split() or [f"repository:{image.repository}:pull"]
    query = [*realm.params.multi_items(), *(("scope", scope) for scope in scopes)]
    if service := challenge.parameters.get("service"):
        query.append(("service", service))
    return realm.copy_with(params=query)


def read_token(body: bytes) -> tuple[str, float]:
    """The token in a token server's answer, and the seconds that it lives. Raises RemoteError if there is none."""
    answer = json_object(body)
    value = answer.get("token") or answer.get("access_token")
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise bad_answer("its token server's answer holds no token")
    life = answer.get("expires_in")
    return value, min(life, LONGEST_LIFE) if isinstance(life, int | float) and life > 0 else DEFAULT_LIFE


def basic(username: str, password: str) -> str:
    """The Authorization header of the Basic scheme, RFC 7617."""
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"


class Authorisations:
    """What was granted, until MARGIN seconds before it expires; the least used are forgotten. For many threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._granted: OrderedDict[Hashable, tuple[Authorisation, float]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Authorisation:
        """What is remembered for `key`; nothing at all if there is nothing fresh."""
        with self._lock:
            granted, until = self._granted.get(key, (Authorisation(), 0.0))
            if self._clock() >= until:
                self._granted.pop(key, None)
                return Authorisation()
            self._granted.move_to_end(key)
            return granted

    def keep(self, key: Hashable, granted: Authorisation, seconds: float) -> None:
        """Remember it for `key`, in place of an earlier one."""
        with self._lock:
            self._granted[key] = granted, self._clock() + seconds - MARGIN
            self._granted.move_to_end(key)
            while len(self._granted) > REMEMBERED:
                self._granted.popitem(last=False)


def _value(piece: re.Match[str]) -> str:
    quoted: str | None = piece["quoted"]
    return piece["plain"] or "" if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
