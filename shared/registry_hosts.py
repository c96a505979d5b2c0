"""Where images are pulled from whose webhook does not say it: the values of ACI_HOOKS_<SENDER>_REGISTRY. Pure.

A server has several repositories, and each may have a host of its own, a path below one, or both:
`nexus.example.com/{repository}, docker-ci=ci.example.com:8083`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from shared.image import (
    InvalidImage,
    check_registry,
    check_repository,
    is_written_as_host,
)
from shared.setting_kinds import split_commas

_PLACEHOLDER = "{repository}"
_FORM = "write HOST[/PATH] for every repository or NAME=HOST[/PATH] for one"


@dataclass(frozen=True, slots=True)
class RegistryHost:
    """Where the images of the server's repository `repository` are pulled from, of every one if that is None."""

    host: str
    path: str = ""
    repository: str | None = None

    @classmethod
    def parse(cls, text: str) -> RegistryHost:
        """Read `[NAME=]HOST[/PATH]`; raises ValueError that says what is wrong."""
        name, equals, place = (part.strip() for part in text.rpartition("="))
        host, _, path = place.partition("/")
        if "://" in text:
            raise ValueError(f"must not begin with a scheme such as https://; {_FORM}")
        if equals and not name:
            raise ValueError(f"lacks a name before the =; {_FORM}")
        return cls(_check_host(host), _check_path(path.rstrip("/")), name or None)

    def image_name(self, repository: str, image: str) -> str:
        """The name, behind the host, of an image that the server has in `repository`."""
        path = self.path.replace(_PLACEHOLDER, repository)
        return f"{path}/{image}" if self.path else image


def named(hosts: Iterable[RegistryHost], repository: str | None) -> RegistryHost | None:
    """The entry for this one repository."""
    return next(
        (
            host
            for host in hosts
            if host.repository is not None and host.repository == repository
        ),
        None,
    )


def unnamed(hosts: Iterable[RegistryHost]) -> RegistryHost | None:
    """The entry for every repository."""
    return next((host for host in hosts if host.repository is None), None)


def _check_host(text: str) -> str:
    try:
        host = check_registry(text)
    except InvalidImage as error:
        raise ValueError(f"{error}; {_FORM}") from None
    if not is_written_as_host(host):
        raise ValueError(
            f"{text!r} has neither a dot nor a port, so no image's name can begin with it"
        )
    return host


def _check_path(text: str) -> str:
    try:
        check_repository(text.replace(_PLACEHOLDER, "repository")) if text else None
    except InvalidImage:
        raise ValueError(
            f"{text[:80]!r} is not a path: lower-case letters, digits and . _ - between slashes, and {_PLACEHOLDER}"
        ) from None
    return text


def _check_unique(hosts: tuple[RegistryHost, ...]) -> tuple[RegistryHost, ...]:
    names = [host.repository for host in hosts]
    twice = sorted(
        {name or "every repository" for name in names if names.count(name) > 1}
    )
    if twice:
        raise ValueError(f"has two entries for {', '.join(twice)}; keep one of them")
    return hosts


def _read(value: object) -> object:
    return RegistryHost.parse(value) if isinstance(value, str) else value


RegistryHosts = Annotated[
    tuple[Annotated[RegistryHost, BeforeValidator(_read)], ...],
    BeforeValidator(split_commas),
    AfterValidator(_check_unique),
]
