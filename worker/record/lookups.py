"""What a registry told of an image: where it is, that it is not there, or that nobody can tell. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """The image is there; `digest` is what its tag points at now: an index's own digest for a multi-arch image.

    `platforms` are the digests of the manifests that an index lists. Azure names one of them as what it pulled, so
    any of them is the same image. `artifact` says what it is if it is no image that a container could run.
    `built_for` are the platforms that it is built for (`linux/amd64`), None if that is not known.
    """

    digest: str
    platforms: frozenset[str] = frozenset()
    artifact: str | None = None
    built_for: frozenset[str] | None = None

    @property
    def digests(self) -> frozenset[str]:
        """Every digest by which a group may show this image."""
        return self.platforms | {self.digest}


@dataclass(frozen=True, slots=True)
class Absent:
    """The registry itself says that there is no such image."""

    detail: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It could not be told, for the reason given: unreachable, throttled, private."""

    detail: str


Lookup = Found | Absent | Unknown
