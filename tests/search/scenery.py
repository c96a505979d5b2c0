"""What a search plays with: the container group that runs, and the registry whose images come and go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

from shared.image import ImageReference
from shared.message import TargetId
from shared.push import Push
from tests.fakes import NoTimes, SimulatedGroups
from worker.policies.parse import parse_policy
from worker.ports import Found, Lookup, Unknown
from worker.targets.target import ContainerRule, Target

Quality = Literal["good", "crash-loop", "late-crash", "unpullable", "inaccessible"]
QUALITIES: tuple[Quality, ...] = ("good", "crash-loop", "late-crash", "unpullable", "inaccessible")

SHOP = TargetId(subscription="sub", resource_group="web", container_group="shop")
LATE_CRASH = 4.0
"""Seconds that an image lives which crashes late: less than the soak, more than a look."""


@dataclass(frozen=True, slots=True)
class Container:
    """What a container runs at first, and by which policy it is kept up to date; None: it is left alone."""

    image: str
    policy: str | None = "any"

    @property
    def repository(self) -> str:
        """Its repository as the group has it written."""
        return self.image.rpartition(":")[0]

    @property
    def tag(self) -> str:
        """The tag that it runs at first."""
        return self.image.rpartition(":")[2]

    @property
    def moves(self) -> bool:
        """Is it pushed by one tag that moves, rather than by a new tag each time?"""
        return self.tag == "latest"

    @property
    def ordered(self) -> bool:
        """Does its policy put tags in an order of their own?"""
        return self.policy is not None and self.policy.startswith("semver")


@dataclass(frozen=True, slots=True)
class Scenery:
    """A container group before anything happens: its containers by name, and those that are pushed to."""

    containers: Mapping[str, Container]
    pushed_to: tuple[str, ...]

    @property
    def target(self) -> Target:
        """The group as a targets file names it."""
        rules = {
            name: ContainerRule(parse_policy(item.policy))
            for name, item in self.containers.items()
            if item.policy is not None
        }
        return Target(SHOP, rules)

    def definition(self) -> dict[str, object]:
        """The group as its owner deployed it."""
        containers = [
            {"name": name, "properties": {"image": item.image, "ports": [{"port": 8000 + number}]}}
            for number, (name, item) in enumerate(self.containers.items())
        ]
        address = {"type": "Public", "ports": [{"port": 80}]}
        return {"properties": {"containers": containers, "ipAddress": address, "osType": "Linux"}}


WEB = Container("acme/shop:1")
JOBS = Container("acme/jobs:latest")
API = Container("acme/api:1.0.0", "semver:minor")
SIDECAR = Container("acme/proxy:7")

TWO = Scenery({"web": WEB, "jobs": JOBS}, ("web", "jobs"))
"""New tags, and one tag that moves."""
VERSIONS = Scenery({"api": API, "web": WEB}, ("api", "web"))
"""Versions, which come in any order, beside tags that are followed as they come."""
WITH_SIDECAR = Scenery({"web": WEB, "jobs": JOBS, "sidecar": SIDECAR}, ("web", "jobs"))
"""A neighbour that nobody pushes to."""
WITH_STRANGER = Scenery({"web": WEB, "stranger": Container("acme/proxy:7", policy=None)}, ("web",))
"""A neighbour that is no affair of ours at all."""
TWINS = Scenery({"web": WEB, "twin": Container("acme/shop:2"), "jobs": JOBS}, ("web", "jobs"))
"""Two containers of one repository."""
EVERYTHING = Scenery({"web": WEB, "jobs": JOBS, "api": API, "sidecar": SIDECAR}, ("web", "jobs", "api"))


@dataclass
class Registry(NoTimes):
    """The images behind the tags. The simulator is told of them, and so pulls what a tag means at that moment."""

    azure: SimulatedGroups
    answers: bool = False
    """Does it answer who asks for a tag's digest?"""
    _tags: dict[str, str] = field(default_factory=dict)
    _qualities: dict[str, Quality] = field(default_factory=dict)

    def put(self, repository: str, tag: str, quality: Quality, digest: str) -> None:
        """A tag stands for another image from now on."""
        image = f"{repository}:{tag}"
        after = LATE_CRASH if quality == "late-crash" else None
        self.azure.image(image, quality, digest=digest, after=after)
        self._tags[image] = digest
        self._qualities[digest] = quality

    def digest(self, push: Push) -> str | None:
        """What the worker rolls out: the tag's digest by the registry, or else what the webhook said."""
        asked = self._tags.get(f"{push.repository}:{push.tag}") if self.answers else None
        return asked or push.digest

    def lookup(self, image: ImageReference, running: frozenset[str] = frozenset()) -> Lookup:
        """What a sweep finds."""
        known = self._tags.get(f"{image.repository}:{image.tag}")
        return Found(known) if self.answers and known else Unknown("out of reach")

    def tags(self, image: ImageReference) -> list[str]:
        """The repository's tags that were ever pushed."""
        pushed = (tag.rpartition(":") for tag in self._tags)
        return [tag for name, _, tag in pushed if name == image.repository and self.answers]

    def works(self, image: str) -> bool:
        """Would a container run well that were started now with this image?"""
        name, _, digest = image.partition("@")
        return self._qualities.get(digest or self._tags.get(name, ""), "good") == "good"


def digest_of(number: int) -> str:
    """The digest of the image that was made as this one."""
    return f"sha256:{sha256(str(number).encode()).hexdigest()}"


def names(push: Push, container: Container) -> bool:
    """Is it a push of the repository that this container runs?"""
    return push.image.name == ImageReference.parse(container.image).name


def images_of(definition: Any) -> dict[str, str]:
    """Container → image, of a definition."""
    return {item["name"]: item["properties"]["image"] for item in definition["properties"]["containers"]}
