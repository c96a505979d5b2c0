"""How a registry wants to be asked, and how its answers are read: challenges, tokens, errors; where secrets may go.

Sources: distribution.github.io/distribution/spec/auth/token (the Bearer scheme), RFC 9110 §11.6.1 (the header).
All pure but for Authorisations, the memory of what was granted, and `within`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import httpx

from shared.errors import RemoteError, retry_after
from shared.image import DOCKER_HUB, ImageReference
from shared.settings import is_local

Result = TypeVar("Result")
SERVICE = "registry"
LONGEST_CHALLENGE, LONGEST_TOKEN, REMEMBERED = 8192, 16384, 1024
DEFAULT_LIFE, LONGEST_LIFE, BASIC_LIFE = 60.0, 3600.0, 300.0
"""Seconds that a grant is used: of a token whose server does not say (the specification's own figure), of any token,
and of a user name and password."""
MARGIN = 10.0
"""Seconds before its expiry in which a token is not used any more: it must outlast the request, and clocks differ."""
_HUB_HOST = "registry-1.docker.io"
_CODE = re.compile(r"[A-Z_]{1,40}")

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


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, and whether it was given to an anonymous request."""

    url: httpx.URL
    status: int
    headers: httpx.Headers
    body: bytes
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


def safe_url(text: str, base: httpx.URL | None, local: bool) -> httpx.URL:
    """A URL that a registry sent us to, relative to `base`: https, or plain http from one local host to another.

    Raises RemoteError, which does not repeat the URL: its query may be as good as a secret.
    """
    try:
        url = base.join(text) if base else httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise bad_answer("a URL of it is malformed") from error
    plain = url.scheme == "http" and local and is_local(url.host)
    if not url.host or url.userinfo or (url.port or 0) > 65535 or not (url.scheme == "https" or plain):
        raise bad_answer("a URL of it is not https, or can't be asked")
    return url


def base_url(image: ImageReference) -> httpx.URL:
    """Where the protocol's URLs of the image's repository begin: https, or plain http at a local host."""
    host = image.registry if image.registry.endswith("]") else image.registry.rsplit(":", 1)[0]
    local = is_local(host.strip("[]"))
    address = _HUB_HOST if image.registry == DOCKER_HUB else image.registry
    return safe_url(f"{'http' if local else 'https'}://{address}/v2/{image.repository}/", None, local)


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Do both lead to the same server, so that what it granted may be shown to it? RFC 6454."""
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


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
            if code in {"UNAUTHORIZED", "DENIED"} or (code == "NAME_UNKNOWN" and answer.anonymous):
                raise refusal(replace(answer, status=403))
            return code
    raise bad_answer("it answered 404, but not as a registry does")


def refusal(answer: Answer) -> RemoteError:
    """The error for an answer that is neither a 200 nor a 404."""
    if answer.status not in {401, 403}:
        return RemoteError(
            SERVICE, answer.status, f"Http{answer.status}", f"answered {answer.status}", retry_after(answer.headers)
        )
    private = "private, and no credentials are configured for it"
    refused = "the credentials that are configured for it were refused"
    return RemoteError(SERVICE, answer.status, "Unauthorized", private if answer.anonymous else refused)


def bad_answer(what: str) -> RemoteError:
    """The error for an answer that is none of a registry."""
    return RemoteError(SERVICE, None, "BadGateway", what)


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """What the call returns or raises; TimeoutError when it takes longer, and then it is left to itself."""
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name="registry", daemon=True).start()
    return outcome.result(seconds)


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
