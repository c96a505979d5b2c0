"""The receivers file: secrets of senders that may report only some images. Read once, at the start.

Its form is in docs/senders.md ("What a secret may say"); ingress.authority gives its entries their meaning. All
mistakes are reported at once, and none of the messages contains a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

from ingress.authority import ImageGlob, LimitedSecrets
from shared.environment import SettingsError
from shared.image import is_written_as_host
from shared.setting_kinds import check_length, check_token
from shared.settings import SENDERS

_WITHOUT_PROOF = frozenset({"dockerhub", "quay"})
"""Senders that can only prove that they know a URL."""
_WITHOUT_KEYS = frozenset({"gcr"})
"""Senders whose own proof needs no shared secret."""
_MAX_SIZE = 1024 * 1024

Limits = dict[str, tuple[LimitedSecrets, ...]]
"""The file's entries for each sender."""


def _check_glob(text: str) -> str:
    host, slash, _ = text.partition("/")
    # acme/* would never match: pushes are compared by their full names, docker.io/acme/shop.
    begins_with_registry = slash and (is_written_as_host(host) or "*" in host)
    if not begins_with_registry:
        raise ValueError(
            f"{text[:80]!r} must begin with a registry, as in docker.io/acme/*"
        )
    return text


class _Entry(BaseModel):
    # Whoever mistakes the format may write the secret itself where its source belongs, so no error shows an input.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    sender: Literal[SENDERS]  # type: ignore[valid-type]
    secrets: list[str] = Field(default_factory=list)
    images: (
        Annotated[
            list[Annotated[str, AfterValidator(_check_glob)]], Field(min_length=1)
        ]
        | None
    ) = None
    proof: Literal["own"] | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    receivers: list[_Entry] = Field(min_length=1)


def read_receivers(
    path: str,
    environment: Mapping[str, str],
    served: Collection[str],
    learn: Callable[[str], None],
) -> Limits:
    """The file's entries with their secrets, each of which is passed to `learn`; raises SettingsError."""
    try:
        entries = _File.model_validate(_load(path)).receivers
    except ValidationError as error:
        mistakes = [
            _told(_place(mistake["loc"]), _words(mistake["msg"]))
            for mistake in error.errors()
        ]
        raise SettingsError(mistakes) from None  # pydantic's error keeps the input
    problems: list[str] = []
    limits = Limits()
    for number, entry in enumerate(entries):
        place = f"receivers[{number}]"
        problems += [_told(place, problem) for problem in _problems(entry, served)]
        secrets, unreadable = _secrets(entry, place, environment)
        problems += unreadable
        # Even if the file is refused: what is logged about that must not show them.
        for secret in secrets:
            learn(secret)
        limits[entry.sender] = (*limits.get(entry.sender, ()), _limited(entry, secrets))
    if problems:
        raise SettingsError(problems)
    return limits


def _limited(entry: _Entry, secrets: list[str]) -> LimitedSecrets:
    globs = tuple(ImageGlob(image) for image in entry.images or ())
    return LimitedSecrets(
        secrets=tuple(secret.encode() for secret in secrets),
        images=globs or None,
        own_proof_only=entry.proof == "own",
    )


def _secrets(
    entry: _Entry, place: str, environment: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """The secrets of an entry, and what is wrong with those that can't be used."""
    secrets, problems = [], []
    for index, source in enumerate(entry.secrets):
        try:
            secrets.append(_secret(source, entry, environment))
        except ValueError as error:
            problems.append(_told(f"{place}.secrets[{index}]", str(error)))
    return secrets, problems


def _load(path: str) -> Any:
    try:
        file = Path(path)
        if file.stat().st_size > _MAX_SIZE:
            raise SettingsError([_told(path, f"has more than {_MAX_SIZE} bytes")])
        return yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([_told(path, f"cannot be read: {error}")]) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        # PyYAML lets other errors through as well: a ValueError for a date such as 2026-13-01, for instance.
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise SettingsError([_told(path, f"is not YAML{where}: {problem}")]) from error


def _problems(entry: _Entry, served: Collection[str]) -> Iterator[str]:
    """The contradictions in an entry."""
    if entry.sender not in served:
        yield f"{entry.sender} is not among ACI_HOOKS_SENDERS, so its deliveries would be refused"
    if entry.proof == "own" and entry.sender in _WITHOUT_PROOF:
        yield f"proof: {entry.sender} has no proof of its own, only the token in the URL; leave it out"
    proves_without_secret = entry.proof == "own" and entry.sender in _WITHOUT_KEYS
    if not entry.secrets and not proves_without_secret:
        yield "secrets: name at least one, as env:NAME or file:PATH"


def _secret(source: str, entry: _Entry, environment: Mapping[str, str]) -> str:
    """The secret behind a source; raises ValueError."""
    kind, colon, place = source.partition(":")
    if kind == "env" and colon:
        text = environment.get(place, "")
        if not text:
            raise ValueError(f"{source} is not set")
    elif kind == "file" and colon:
        try:
            # Editors and `echo` end a file with a newline that is not part of the secret.
            text = re.sub(r"\r?\n\Z", "", Path(place).read_bytes().decode())
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{source} cannot be read: {error}") from error
    else:
        raise ValueError(
            "is neither env:NAME nor file:PATH; don't write the secret itself into the file"
        )
    # A secret that only a URL can carry must consist of characters that a URL can carry.
    check = check_token if entry.sender in _WITHOUT_PROOF else check_length
    try:
        check(SecretStr(text))
    except ValueError as error:
        raise ValueError(f"{source} {error}") from None
    return text


def _told(place: str, problem: str) -> str:
    return f"ACI_HOOKS_RECEIVERS: {place}: {problem}"


def _words(message: str) -> str:
    return message.removeprefix("Value error, ")


def _place(location: tuple[int | str, ...]) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(parts).removeprefix(".") or "the file"
