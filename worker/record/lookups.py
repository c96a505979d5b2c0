"""What a registry says about an image: that it exists, that it does not, or that this is unknown. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """The image exists; `digest` is what its tag points at now: for a multi-arch image, the digest of its index.

    `platforms` are the digests of the manifests that an index lists. Azure reports one of them as pulled, so
    any of them is the same image. `artifact` says what it is if it is no image that a container could run.
    `built_for` are the platforms that it is built for (`linux/amd64`), None if that is not known.
    """

    digest: str
    platforms: frozenset[str] = frozenset()
    artifact: str | None = None
    built_for: frozenset[str] | None = None

    @property
    def digests(self) -> frozenset[str]:
        """Every digest under which a group may show this image."""
        return self.platforms | {self.digest}


@dataclass(frozen=True, slots=True)
class Absent:
    """The registry itself says that there is no such image."""

    detail: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Unknown, for the reason given: unreachable, throttled, private."""

    detail: str


Lookup = Found | Absent | Unknown
