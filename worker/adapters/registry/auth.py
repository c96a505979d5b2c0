"""How a registry wants to be asked: challenges, tokens, and the memory of what was granted.

Sources: distribution.github.io/distribution/spec/auth/token (the Bearer scheme), RFC 9110 §11.6.1 (the header).
All pure but for Authorisations, which remembers.
"""

from __future__ import annotations

import re
import threading
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import httpx

from shared.image import ImageReference
from worker.adapters.registry.answers import Answer, bad_answer, json_object
from worker.adapters.registry.urls import safe_url

LONGEST_CHALLENGE, LONGEST_TOKEN = 8192, 16384
"""Characters."""
REMEMBERED = 1024
"""Grants that are kept in memory."""
DEFAULT_LIFE = 60.0
"""Seconds that a token is used for whose server does not say how long it lives; the specification's own figure."""
LONGEST_LIFE = 3600.0
"""Seconds that any token is used for."""
BASIC_LIFE = 300.0
"""Seconds until a user name and password are read from their sources again."""
MARGIN = 10.0
"""Seconds before its expiry in which a token is not used any more: it must outlast the request, and clocks differ."""

# A scheme, or a parameter with its value: Bearer, realm="https://auth.docker.io/token", service=x
_PIECE = re.compile(
    r"""
    [\s,]* (?P<name> [!\#$%&'*+.^_`|~0-9A-Za-z-]+ )
    (?: \s* (?P<equals>=) \s* (?: " (?P<quoted> (?: [^"\\] | \\. )* ) " | (?P<plain> [^\s,"]* ) ) )?
    """,
    re.VERBOSE | re.DOTALL,
)
# Printable and without spaces, since it becomes the value of a header.
_TOKEN = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_TOKEN}}}")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in which a server wants to be asked: the scheme and the names of its parameters in lower case."""

    scheme: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Authorisation:
    """The value of an Authorization header, None for none; `anonymous`: no credentials stand behind it.

    `why_anonymous` says so where there are credentials that could not be shown.
    """

    header: str | None = field(default=None, repr=False)
    anonymous: bool = True
    why_anonymous: str | None = None


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Every challenge in the WWW-Authenticate headers. Total: what can't be understood is passed over."""
    found: list[tuple[str, dict[str, str]]] = []
    for header in headers:
        parameters: dict[str, str] | None = None  # of the challenge that is being read
        for piece in _pieces(header[:LONGEST_CHALLENGE]):
            name = piece["name"].lower()
            if not piece["equals"]:  # a name by itself begins a challenge
                parameters = {}
                found.append((name, parameters))
            elif parameters is not None:
                parameters.setdefault(name, _value(piece))
    return tuple(Challenge(scheme, parameters) for scheme, parameters in found)


def challenge_of(answer: Answer) -> Challenge:
    """The challenge to meet: Bearer before Basic, which shows the password with every request. Raises RemoteError."""
    by_scheme: dict[str, Challenge] = {}
    for challenge in parse_challenges(answer.headers.get_list("WWW-Authenticate")):
        if _can_be_met(challenge):
            by_scheme.setdefault(challenge.scheme, challenge)
    if not by_scheme:
        raise bad_answer("it requires an unknown kind of authorisation")
    return by_scheme.get("bearer") or by_scheme["basic"]


def scopes_of(challenge: Challenge, image: ImageReference) -> list[str]:
    """The rights to ask for: the challenge's, since registries differ (Azure's wants `metadata_read` for a list of
    tags); without any, the right to pull.
    """
    wanted = challenge.parameters.get("scope", "").split()
    return wanted or [f"repository:{image.repository}:pull"]


def token_url(
    challenge: Challenge, image: ImageReference, registry: httpx.URL
) -> httpx.URL:
    """Where to get a token that answers the challenge of `registry`, a URL of it.

    Raises RemoteError for a realm that nothing may be sent to.
    """
    realm = safe_url(
        challenge.parameters.get("realm", ""), base=None, registry=registry
    )
    query = [
        *realm.params.multi_items(),
        *(("scope", scope) for scope in scopes_of(challenge, image)),
    ]
    if service := challenge.parameters.get("service"):
        query.append(("service", service))
    return realm.copy_with(params=query)


def read_token(body: bytes) -> tuple[str, float]:
    """The token in a token server's answer, and the seconds that it lives. Raises RemoteError if there is none."""
    # The specification lets a server name it either way, or both ways for older clients.
    answer = json_object(body)
    value = answer.get("token") or answer.get("access_token")
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise bad_answer("its token server's answer contains no token")
    life = answer.get("expires_in")
    # The specification lets a server leave the lifetime out. Anything but a positive number counts as left out.
    if isinstance(life, int | float) and life > 0:
        return value, min(life, LONGEST_LIFE)
    return value, DEFAULT_LIFE


def basic(username: str, password: str) -> str:
    """The Authorization header of the Basic scheme, RFC 7617."""
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"


class Authorisations:
    """What was granted, until MARGIN seconds before it expires; the least used are forgotten. For many threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._granted: OrderedDict[Hashable, tuple[Authorisation, float]] = (
            OrderedDict()
        )
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Authorisation:
        """What is remembered for `key`; nothing at all if there is nothing fresh."""
        return self.find(key) or Authorisation()

    def find(self, key: Hashable) -> Authorisation | None:
        """The same, but None if there is nothing fresh."""
        with self._lock:
            granted, until = self._granted.get(key, (None, 0.0))
            if granted is None or self._clock() >= until:
                self._granted.pop(key, None)
                return None
            self._granted.move_to_end(key)
            return granted

    def keep(self, key: Hashable, granted: Authorisation, seconds: float) -> None:
        """Remember it for `key`, in place of an earlier one."""
        with self._lock:
            self._granted[key] = granted, self._clock() + seconds - MARGIN
            self._granted.move_to_end(key)
            while len(self._granted) > REMEMBERED:
                self._granted.popitem(last=False)


def _pieces(header: str) -> Iterator[re.Match[str]]:
    """The names, each with its value if it has one, that a header is made of. What can't be understood is skipped.

    By hand and not by splitting at commas: they part challenges as well as parameters, and stand in quoted values.
    """
    at = 0
    while at < len(header):
        piece = _PIECE.match(header, at)
        if piece is None:
            # Whatever stands here, the next element begins behind the next comma.
            at = header.find(",", at) + 1 or len(header)
        else:
            yield piece
            at = piece.end()


def _value(piece: re.Match[str]) -> str:
    quoted: str | None = piece["quoted"]
    if quoted is None:
        return piece["plain"] or ""
    return re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)


def _can_be_met(challenge: Challenge) -> bool:
    names_token_server = bool(challenge.parameters.get("realm"))
    return challenge.scheme == "basic" or (
        challenge.scheme == "bearer" and names_token_server
    )
