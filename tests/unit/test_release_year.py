"""A year of releases of real repositories, replayed: no downgrade, no change of variant, precision or spelling.

Each release comes as webhooks do, tag by tag, in two orders; then the sweep has the list as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.unit.policy_table import policy_of
from worker.policies.choose import best_tag
from worker.policies.parse import Update

REPOSITORIES = yaml.load(Path(__file__).with_name("release_year.yaml").read_text(), Loader=yaml.BaseLoader)
_PRE_RELEASE = "(?:rc|RC|M|alpha|beta|preview|a|b)"
_NUMBERS = re.compile(r"^(?P<v>[a-z]*-?v?)(?P<numbers>[0-9]+(?:\.[0-9]+)*)(?:_[0-9]+)?")


class Followed(NamedTuple):
    """A container of a repository: what it ran at New Year and what it should run at the end."""

    repository: Any
    policy: str
    first: str
    last: str


FOLLOWED = [Followed(item, *each) for item in REPOSITORIES for each in item["follow"]]
IDS = [f"{item.repository['repository']} {item.first} {item.policy[:20]}" for item in FOLLOWED]


def pushes(repository: Any) -> Iterator[list[str]]:
    """The tags of each release: in full, and the shorter ones that move along."""
    for release in repository["releases"].split():
        numbers = release.split("_")[0].split(".")
        shorter = {".".join(numbers[: int(count)]) for count in repository.get("floats", [])}
        is_pre_release = re.search(r"[a-z][0-9]*$|-(rc|M|preview|beta)", release.split("Z")[0], re.IGNORECASE)
        versions = [release, *(sorted(shorter) if not is_pre_release else [])]
        yield [tag.format(version) for version in versions for tag in repository["tags"]]


def precision(tag: str) -> tuple[str, int, str]:
    """The letters in front, the count of numbers and the words behind, read independently of worker.policies."""
    match = _NUMBERS.match(tag)
    if match is None:
        return "", 0, re.sub(r"[0-9]+", "", tag)
    words = [
        word for word in re.split(r"[-_]", tag[match.end() :]) if word and not re.fullmatch(r"(r|ls)?[0-9.]+", word)
    ]
    rest = [word for word in words if not re.fullmatch(rf"{_PRE_RELEASE}[.0-9]*", word)]
    return match["v"], match["numbers"].count(".") + 1, "-".join(rest)


def height(tag: str) -> tuple[int, ...]:
    """The numbers of a tag: of two releases of one variant the higher one has the higher of them."""
    without_pre_release = re.sub(rf"(?<=[0-9])[-.]?{_PRE_RELEASE}[.0-9]+", "", tag)
    return tuple(int(number) for number in re.findall(r"[0-9]+", without_pre_release))


def replay(followed: Followed, *, reverse: bool) -> list[str]:
    """The tags that ran, one after the other, by webhooks alone."""
    policy, ran = policy_of(followed.policy), [followed.first]
    for release in pushes(followed.repository):
        for tag in reversed(release) if reverse else release:
            if tag != ran[-1] and isinstance(policy.decide(ran[-1], tag), Update):
                ran.append(tag)
    for tag in followed.repository["odd"]:
        if tag != ran[-1] and isinstance(policy.decide(ran[-1], tag), Update):
            ran.append(tag)
    return ran


def test_there_are_at_least_twenty_repositories() -> None:
    assert len(REPOSITORIES) >= 20
    assert len(FOLLOWED) >= 60


@pytest.mark.parametrize("reverse", [False, True], ids=["in full first", "the moving tags first"])
@pytest.mark.parametrize("followed", FOLLOWED, ids=IDS)
def test_a_year_by_webhooks(followed: Followed, *, reverse: bool) -> None:
    ran = replay(followed, reverse=reverse)
    # The first version that is pushed starts a container of latest, which keeps to that precision from then on.
    since = 1 if "start" in followed.policy else 0
    assert ran[-1] == followed.last or (since and reverse and followed.last.startswith(ran[-1].split("-")[0]))
    if "extract" not in followed.policy:
        assert {precision(tag) for tag in ran[since:]} == {precision(ran[-1])}
    for before, after in pairwise(ran):
        assert height(after) >= height(before)


@pytest.mark.parametrize("followed", FOLLOWED, ids=IDS)
def test_a_year_without_webhooks_and_a_sweep_at_its_end(followed: Followed) -> None:
    listed = [*(tag for release in pushes(followed.repository) for tag in release), *followed.repository["odd"]]
    policy = policy_of(followed.policy)
    for tags in (listed, listed[::-1], sorted(listed)):
        found = best_tag(policy, followed.first, tags) or followed.first
        assert found == followed.last
        assert best_tag(policy, found, tags) is None


@pytest.mark.parametrize("followed", FOLLOWED, ids=IDS)
def test_a_year_with_a_sweep_after_every_release(followed: Followed) -> None:
    policy, runs, listed = policy_of(followed.policy), followed.first, list[str]()
    for release in pushes(followed.repository):
        listed += release
        runs = best_tag(policy, runs, listed) or runs
    assert (best_tag(policy, runs, [*listed, *followed.repository["odd"]]) or runs) == followed.last
