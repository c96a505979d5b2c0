"""What was pushed after the running tag: by the registry's account, or by the configs of a few images."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import pytest

from shared.image import ImageReference
from tests.unit.builders import at
from worker.controller.newest import MOST_CONFIGS, pushed_later
from worker.ports import Dated, Lookup, Unknown

Made = Mapping[str, float | None]
SHOP = ImageReference.parse("acme/shop")


class Registry:
    """A registry that tells the times of pushes (`recent`), or only when images were made."""

    def __init__(self, recent: Mapping[str, float] | None = None, made: Made | None = None) -> None:
        self._recent = recent
        self._made = made or {}
        self.asked: list[str] = []

    def recent(self, image: ImageReference) -> list[Dated] | None:
        return None if self._recent is None else [Dated(tag, at(time)) for tag, time in self._recent.items()]

    def created(self, image: ImageReference) -> datetime | None:
        self.asked.append(str(image.tag))
        made = self._made.get(str(image.tag))
        return None if made is None else at(made)

    def tags(self, image: ImageReference) -> list[str]:
        self.asked.append("all")
        return list(self._made)

    def lookup(self, image: ImageReference, running: frozenset[str] = frozenset()) -> Lookup:
        return Unknown("nobody asks")


def later(registry: Registry, running: str = "v1") -> list[str]:
    return [item.tag for item in pushed_later(registry, SHOP, running, lambda tag: not tag.startswith("x"))]


@pytest.mark.parametrize(
    ("recent", "tags"),
    [
        ({}, []),
        ({"v1": 5}, []),
        ({"v3": 9, "v2": 7, "v1": 5, "v0": 3}, ["v3", "v2"]),
        ({"v2": 7, "v3": 9}, ["v3", "v2"]),
        ({"v2": 5, "v1": 5}, []),
        ({"x2": 9, "v2": 7, "v1": 5}, ["v2"]),
        ({"v10": 9, "v9": 9, "v1": 5}, ["v10", "v9"]),
    ],
)
def test_what_the_registry_tells(recent: Mapping[str, float], tags: list[str]) -> None:
    registry = Registry(recent)
    assert later(registry) == tags
    assert registry.asked == []


@pytest.mark.parametrize(
    ("made", "tags"),
    [
        ({"v1": 5, "v2": 7, "v3": 9, "v0": 3, "x9": 11}, ["v3", "v2"]),
        ({"v1": 5, "v2": None, "v3": 9}, ["v3"]),
        # Builds that can be repeated all say the same.
        ({"v1": 0, "v2": 0}, []),
        ({"v1": None, "v2": 7}, []),
    ],
)
def test_where_it_does_not_the_images_say_when_they_were_made(made: Made, tags: list[str]) -> None:
    assert later(Registry(made=made)) == tags


def test_a_running_image_without_a_time_can_not_be_compared_so_nothing_else_is_asked() -> None:
    registry = Registry(made={"v1": None, "v2": 7})
    later(registry)
    assert registry.asked == ["v1"]


def test_only_the_last_by_their_spelling_are_asked() -> None:
    registry = Registry(made={f"v{number}": number for number in range(1, 101)})
    assert later(registry)[0] == "v100"
    assert registry.asked == ["v1", "all", *(f"v{number}" for number in range(101 - MOST_CONFIGS, 101))]
