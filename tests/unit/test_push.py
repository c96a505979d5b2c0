"""Push: what every sender's payload becomes, and which of two is the newer one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from shared.image import ImageReference
from shared.push import Push
from tests.unit.builders import at, digest, push


def test_its_parts_are_normalised_and_checked() -> None:
    made = push(registry="Index.Docker.io", repository="nginx", digest=digest("x"), pusher="ann", unknown=1)
    assert (made.registry, made.repository, made.pusher) == ("docker.io", "library/nginx", "ann")
    assert str(made.image) == "docker.io/library/nginx:2"


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("registry", "not a host"),
        ("repository", "Acme/Shop"),
        ("repository", "shop:2"),
        ("repository", "../shop"),
        ("repository", "x" * 256),
        ("tag", "-x"),
        ("tag", ""),
        ("tag", None),
        ("digest", "sha256:1"),
        ("pushed_at", "yesterday"),
        ("pushed_at", "2026-01-01T12:00:00"),
        ("sender", ""),
        ("sender", "x" * 257),
        ("pusher", ""),
        ("pusher", "x" * 257),
    ],
)
def test_a_bad_part_is_refused_by_its_name(part: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        push(**{part: value})
    assert [error["loc"] for error in caught.value.errors()] == [(part,)]


def test_an_official_image_has_room_for_library() -> None:
    longest = "x" * (255 - len("library/"))
    assert push(registry="docker.io", repository=longest).image.repository == f"library/{longest}"
    for too_long in (f"{longest}x", "x" * 255):
        with pytest.raises(ValidationError, match="is not a repository"):
            push(registry="docker.io", repository=too_long)
    assert push(registry="ghcr.io", repository="x" * 255).image.repository == "x" * 255


def test_a_repository_is_told_beside_its_registry() -> None:
    with pytest.raises(ValidationError) as caught:
        push(registry="not a host", repository="Shop")
    assert [error["loc"] for error in caught.value.errors()] == [("registry",), ("repository",)]


def test_it_is_made_of_an_image_with_a_tag() -> None:
    image = ImageReference("ghcr.io", "acme/shop", "2", digest("x"))
    made = Push.of("ghcr", image, pushed_at=at(0), pusher="ann")
    assert (made.sender, made.registry, made.repository, made.tag) == ("ghcr", "ghcr.io", "acme/shop", "2")
    assert (made.digest, made.pushed_at, made.pusher) == (digest("x"), at(0), "ann")
    with pytest.raises(ValidationError):
        Push.of("ghcr", ImageReference("ghcr.io", "acme/shop"))


@pytest.mark.parametrize(
    ("pushed_at", "counts"),
    [
        (at(-3600), at(-3600)),
        (None, at(0)),
        (at(0), at(0)),
        (at(0) + timedelta(microseconds=1), at(0)),
    ],
)
def test_it_is_ordered_by_its_time_unless_that_is_in_the_future(pushed_at: datetime | None, counts: datetime) -> None:
    assert push(pushed_at=pushed_at).order(at(0)) == (counts, at(0))


@pytest.mark.parametrize("ahead", [timedelta(-1), timedelta(0), timedelta(microseconds=1), timedelta(days=7000)])
def test_a_push_that_claims_to_come_from_the_future_was_pushed_when_it_arrived(ahead: timedelta) -> None:
    claimed = push(pushed_at=at(0) + ahead)
    assert claimed.not_after(at(0)).pushed_at == min(at(0), at(0) + ahead)
    assert push(pushed_at=None).not_after(at(0)).pushed_at is None


def test_of_two_pushes_of_one_time_the_one_received_later_is_newer() -> None:
    assert push(pushed_at=at(0)).order(at(9)) > push(pushed_at=at(0)).order(at(8))
    assert push(pushed_at=at(1)).order(at(8)) > push(pushed_at=at(0)).order(at(9))
