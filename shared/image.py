"""Image references: parse, normalise, compare and write back.

The grammar is that of the OCI distribution specification ("Pulling manifests") and of the reference package of
CNCF Distribution; the short names of Docker Hub (`nginx` for `docker.io/library/nginx`) are normalised away, so that
two spellings of one repository are equal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DOCKER_HUB = "docker.io"
_HUB_ALIASES = frozenset(
    {"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}
)
# Every name is measured before it is matched: a webhook may hold one of a megabyte.
_MAX_NAME, _MAX_TAG, _MAX_DIGEST = 255, 128, len("sha512:") + 128
_DEFAULT_PORTS = frozenset({"443", "80"})

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_DOMAIN_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = re.compile(
    rf"(?:{_DOMAIN_COMPONENT}(?:\.{_DOMAIN_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]{{1,5}})?",
    re.ASCII,
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}", re.ASCII)


class InvalidImage(ValueError):
    """The text is not an image reference; the message says which part of it is wrong."""


def check_registry(text: str) -> str:
    """The registry's host[:port], lower-cased, without a default port, Docker Hub's aliases as `docker.io`.

    Raises InvalidImage.
    """
    if len(text) > _MAX_NAME or not _REGISTRY.fullmatch(text):
        raise InvalidImage(f"{text[:80]!r} is not a registry host")
    host = _without_default_port(text.lower())
    return DOCKER_HUB if host in _HUB_ALIASES else host


def _without_default_port(host: str) -> str:
    """`acme.azurecr.io` for `acme.azurecr.io:443`.

    HTTP clients leave the port out of the Host header when it is the scheme's own, 443 or 80 (RFC 9110 §4.2 and §7.2),
    so a push may use one spelling and a container the other. A host of one label keeps its port: without
    one, `registry/shop` names a repository of Docker Hub.
    """
    name, _, port = host.rpartition(":")
    is_default = port in _DEFAULT_PORTS
    is_still_a_host = "." in name or name.endswith("]")
    return name if is_default and is_still_a_host else host


def check_repository(text: str) -> str:
    """A repository path such as `acme/shop`, as it is; raises InvalidImage."""
    if len(text) > _MAX_NAME or not _REPOSITORY.fullmatch(text):
        raise InvalidImage(
            f"{text[:80]!r} is not a repository: lower-case letters, digits and . _ - between slashes, "
            f"at most {_MAX_NAME} characters"
        )
    return text


def check_repository_at(registry: str, text: str) -> str:
    """A repository of a normalised registry, Docker Hub's official ones under `library/`; raises InvalidImage."""
    repository = check_repository(text)
    is_official = registry == DOCKER_HUB and "/" not in repository
    return check_repository(f"library/{repository}") if is_official else repository


def is_written_as_host(text: str) -> bool:
    """Does a name that begins with `text/` begin with a registry, rather than with a repository's first part?

    Every container tool tells the two apart in this way. Capitals count as well, as repositories have none.
    """
    return "." in text or ":" in text or text == "localhost" or text != text.lower()


def check_tag(text: str) -> str:
    """A tag, as it is; raises InvalidImage."""
    if len(text) > _MAX_TAG or not _TAG.fullmatch(text):
        raise InvalidImage(
            f"{text[:80]!r} is not a tag: letters, digits and _ . - , at most 128, not starting with . or -"
        )
    return text


def check_digest(text: str) -> str:
    """A digest such as `sha256:<64 hex digits>`, as it is; raises InvalidImage."""
    if len(text) > _MAX_DIGEST or not _DIGEST.fullmatch(text):
        raise InvalidImage(
            f"{text[:80]!r} is not a digest: sha256:<64 lower-case hex digits>"
        )
    return text


@dataclass(frozen=True, slots=True)
class ImageReference:
    """One image: normalised registry and repository, and the tag and digest as far as they are given."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Read `[registry/]repository[:tag][@digest]`; raises InvalidImage. A missing tag stays missing."""
        name, tag, digest = _split(text)
        host, repository = _split_name(name)
        registry = check_registry(host)
        return cls(
            registry,
            check_repository_at(registry, repository),
            tag=None if tag is None else check_tag(tag),
            digest=None if digest is None else check_digest(digest),
        )

    @property
    def name(self) -> str:
        """`registry/repository`, normalised: equal for every spelling of one repository."""
        return f"{self.registry}/{self.repository}"

    @property
    def followed_tag(self) -> str | None:
        """The tag that a container running this image follows: `latest` if none is written, None for a bare digest."""
        return self.tag or (None if self.digest else "latest")

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def rewrite(written: str, *, tag: str | None = None, digest: str | None = None) -> str:
    """The image `written` with another tag or digest, its registry and repository exactly as they were written.

    A group's registry credentials are matched by the server's name as written, so the spelling must survive.
    Exactly one of `tag` and `digest` is given; a digest stands alone, as `repository@sha256:…`.
    """
    name, _, _ = _split(written)
    return f"{name}@{digest}" if digest else f"{name}:{tag}"


def _split(text: str) -> tuple[str, str | None, str | None]:
    name, at, digest = text.partition("@")
    slash, colon = name.rfind("/"), name.rfind(":")
    tag = None
    # A colon before the last slash is that of a port.
    if colon > slash:
        name, tag = name[:colon], name[colon + 1 :]
    return name, tag, digest if at else None


def _split_name(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    # To container tools such a name is a host, but not once it is spelt in lower case, as hosts may be.
    is_host_by_capitals_alone = first != first.lower() and not is_written_as_host(
        first.lower()
    )
    if slash and is_host_by_capitals_alone:
        raise InvalidImage(
            f"{first[:80]!r} is neither: a repository is lower-case, a registry has a dot or a port"
        )
    return (first, rest) if slash and is_written_as_host(first) else (DOCKER_HUB, name)
