"""The plan of a chaos run: container groups, pushes and mischief, all drawn from one seed before anything starts. Pure.

Nothing of it depends on how the run goes, so that the same seed gives the same pushes at the same moments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Literal

from tests.arm_simulator.images import default_digest
from tests.chaos.hostile import ATTACKS, TAMPERING, Attack

Behaviour = Literal["good", "crash-loop", "unpullable"]
Kind = Literal["any", "same-tag", "semver", "rolling", "nobody"]
"""How a repository is pushed to: `rolling` moves one tag and tells no digest, `nobody` runs nowhere. All others are
pushed to as their policy wants it."""

GROUPS = 14
CRASHING, UNPULLABLE = 0.10, 0.05
DUPLICATES = 0.12
LATE = 8.0
"""Seconds by which a delivery may come later than it was pushed, so that older pushes arrive after newer ones."""
AWAY = 30.0
"""Seconds for which no worker works, but those that are started anew: longer than a rollout may take."""
LONG = 0.2
"""The share of the run for which every fourth group that is stopped or held by a tag stays so."""
LAST_PUSH = 0.85
"""The share of the run by which everything was pushed."""
REGISTRY = "registry.test"
"""Of the images whose digests senders tell. It does not exist, so that nobody else can tell them."""
HOLD_TAG = "aci-hooks.hold"
"""The resource tag by which an owner stops all updates of a group."""
CALM = "g15"
"""A group that nobody pushes to: its record is forged, and its owner deletes and creates it anew."""
SHUT = "g14"
"""A group whose images Azure can't pull for longer than the workers are patient. Its registry can be swept."""
OUTAGES = ("unavailable", "cut off", "throttled", "no role", "no registry", "quota")
"""The ways in which ARM is away."""
_FIRST_TAG = {"any": "v0", "same-tag": "stable", "semver": "1.0.0", "rolling": "latest", "nobody": "v0"}


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository, and how it is pushed to. `written` is how the groups spell it.

    `host` is the registry's if there is one: then the workers ask it, and no sender is believed.
    """

    number: int
    kind: Kind
    host: str = ""

    @property
    def sender(self) -> Literal["dockerhub", "generic"]:
        """Who tells of its pushes. Only the generic sender tells digests, which `same-tag` is tested with."""
        if self.host:
            return "generic"
        return "generic" if self.kind == "same-tag" or (self.kind != "rolling" and self.number % 2) else "dockerhub"

    @property
    def written(self) -> str:
        """How an image of it begins."""
        if self.host:
            return f"{self.host}/{self.name}"
        host = f"{REGISTRY}/" if self.sender == "generic" else ""
        return f"{host}{self.name}"

    @property
    def name(self) -> str:
        """Its name in its registry."""
        return f"acme/r{self.number:02}"

    @property
    def policy(self) -> str:
        """The policy of the containers that run it."""
        return self.kind if self.kind in {"same-tag", "semver"} else "any"

    @property
    def first_image(self) -> str:
        """What its containers run before anything is pushed."""
        return f"{self.written}:{_FIRST_TAG[self.kind]}"


@dataclass(frozen=True, slots=True)
class Push:
    """One push. Of a repository's pushes the one with the highest `rank` is to run, if its image is good.

    Times are seconds from the start of the run: `pushed_at`, and one for each delivery.
    """

    number: int
    repository: Repository
    tag: str
    rank: int
    behaviour: Behaviour
    pushed_at: float
    deliveries: tuple[float, ...]

    @property
    def digest(self) -> str:
        """The image's digest."""
        return f"sha256:{hashlib.sha256(f'push {self.number}'.encode()).hexdigest()}"

    @property
    def images(self) -> tuple[str, ...]:
        """The image as a group may spell it."""
        by_digest = f"{self.repository.written}@{self.digest}"
        if self.repository.kind in {"same-tag", "rolling"}:
            return (by_digest,)
        # By the tag, the simulator pulls an image of a digest that it makes up itself.
        return (self._by_tag, by_digest, f"{self.repository.written}@{default_digest(self._by_tag)}")

    @property
    def _by_tag(self) -> str:
        return f"{self.repository.written}:{self.tag}"

    @property
    def is_good(self) -> bool:
        """Will its image run?"""
        return self.behaviour == "good"


@dataclass(frozen=True, slots=True)
class Act:
    """One mischief, `at` seconds from the start, for so many `seconds`, done to the victim of that number.

    The victim of an outage is a number of OUTAGES; that of forged messages is a seed of their own.
    """

    at: float
    kind: Literal[
        "kill worker", "freeze worker", "workers away", "kill ingress", "freeze ingress", "restart azurite",
        "ARM outage", "ARM read outage", "long outage", "hold", "stop group", "tag group", "recreate group",
        "tamper with record", "forge record", "forge messages",
    ]  # fmt: skip
    victim: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Plan:
    """All that a run does. `groups`: group → container → repository."""

    seed: int
    seconds: float
    workers: int
    ingresses: int
    groups: dict[str, dict[str, Repository]]
    pushes: tuple[Push, ...]
    acts: tuple[Act, ...]
    registry: str = ""
    attacks: tuple[Attack, ...] = ()

    @property
    def patience(self) -> int:
        """The workers' ACI_HOOKS_OUTAGE_PATIENCE: more than any outage of ARM lasts, but for the long one."""
        return _patience(self.seconds)

    def groups_of(self, repository: Repository) -> list[str]:
        """The groups that run it."""
        return [name for name, containers in self.groups.items() if repository in containers.values()]

    @cached_property
    def by_image(self) -> dict[str, Push]:
        """Which push an image, as a group spells it, comes from."""
        return {image: push for push in self.pushes for image in push.images}

    def newest_good(self, repository: Repository) -> Push | None:
        """What its containers are to run at the end; None: what they ran at first."""
        good = (push for push in self.pushes if push.repository == repository and push.is_good)
        return max(good, key=lambda push: push.rank, default=None)


def draw(
    seed: int,
    pushes: int,
    seconds: float,
    workers: int = 4,
    ingresses: int = 2,
    visibility: float = 4,
    registry: str = "127.0.0.1:5999",
) -> Plan:
    """The plan of this seed. `visibility` is the workers' visibility timeout: a frozen one outlives it.

    `registry` is where the registry will be that knows the truth of some repositories.
    """
    dice = Random(seed)
    groups = _groups(dice, registry)
    drawn = tuple(_pushes(dice, groups, pushes, seconds))
    return Plan(
        seed=seed,
        seconds=seconds,
        workers=workers,
        ingresses=ingresses,
        groups=groups,
        pushes=drawn,
        registry=registry,
        attacks=tuple(sorted(_attacks(dice, drawn, seconds), key=lambda attack: attack.at)),
        acts=tuple(
            sorted(
                (
                    *_acts(dice, seconds, workers, ingresses, visibility),
                    *_outages(dice, seconds),
                    *_owners(dice, "stop group", seconds),
                    *_owners(dice, "tag group", seconds),
                    *_hostile_acts(dice, seconds),
                ),
                key=lambda act: act.at,
            )
        ),
    )


def _groups(dice: Random, registry: str) -> dict[str, dict[str, Repository]]:
    """Groups of one to three containers; a proxy that several share; one with two containers of one repository."""
    numbers = iter(range(1, 100))
    kinds: tuple[Kind, ...] = ("any", "any", "any", "any", "same-tag", "semver")
    proxy = Repository(0, "any")
    groups: dict[str, dict[str, Repository]] = {}
    for index in range(GROUPS):
        own = {name: Repository(next(numbers), dice.choice(kinds)) for name in ("web", "api")[: 1 + dice.randrange(2)]}
        groups[f"g{index:02}"] = {**own, **({"proxy": proxy} if index % 4 == 0 else {})}
    groups["g01"]["twin"] = groups["g01"]["web"]
    groups["g02"]["roll"] = Repository(next(numbers), "rolling")
    groups["g03"]["sem"] = Repository(next(numbers), "semver")
    groups["g05"]["same"] = Repository(next(numbers), "same-tag")
    groups["g06"]["true"] = Repository(next(numbers), "any", registry)
    groups["g07"]["true"] = Repository(next(numbers), "semver", registry)
    groups[SHUT] = {name: Repository(next(numbers), "semver", registry) for name in ("web", "api")}
    groups[CALM] = {"web": Repository(98, "any")}
    return groups


def _pushes(dice: Random, groups: dict[str, dict[str, Repository]], count: int, seconds: float) -> Iterator[Push]:
    pushed_to = {container for name, containers in groups.items() for container in containers.values() if name != CALM}
    repositories = sorted(pushed_to, key=_number)
    always_good = {item for item in pushed_to if item.kind == "rolling" or item in groups[SHUT].values()}
    nobody = Repository(99, "nobody")
    weights = [5 if number == 1 else 1 for number in range(len(repositories))]
    chosen = dice.choices([*repositories, nobody], [*weights, 0.5], k=count)
    moments = sorted(_moments(dice, count, seconds))
    versions = {item: _shuffled(dice, chosen.count(item)) for item in repositories}
    for number, (repository, moment) in enumerate(zip(chosen, moments, strict=True)):
        rank = versions[repository].pop() if repository.kind == "semver" else number
        rolling = repository.kind == "rolling"
        yield Push(
            number=number,
            repository=repository,
            tag=_tag(repository, number, rank),
            rank=rank,
            behaviour="good" if repository in always_good else _behaviour(dice),
            pushed_at=moment,
            deliveries=tuple(_deliveries(dice, moment, 0.0 if rolling else min(LATE, seconds / 10), seconds)),
        )


def _moments(dice: Random, count: int, seconds: float) -> Iterator[float]:
    """Half of the pushes come alone, the others in bursts."""
    last = LAST_PUSH * seconds
    bursts = [dice.uniform(0, last) for _ in range(max(1, count // 60))]
    for number in range(count):
        alone = dice.uniform(0, last)
        burst = min(last, max(0.0, dice.gauss(dice.choice(bursts), 0.3)))
        yield (burst if number % 2 else alone) + number * 1e-5


def _deliveries(dice: Random, moment: float, late: float, seconds: float) -> Iterator[float]:
    yield moment + dice.uniform(0, late)
    if dice.random() < DUPLICATES:
        yield min(seconds, moment + dice.uniform(0, 0.15 * seconds))


def _tag(repository: Repository, number: int, rank: int) -> str:
    if repository.kind == "semver":
        return f"1.{rank // 10 + 1}.{rank % 10}"
    return _FIRST_TAG[repository.kind] if repository.kind in {"same-tag", "rolling"} else f"p{number:05}"


def _behaviour(dice: Random) -> Behaviour:
    throw = dice.random()
    return "crash-loop" if throw < CRASHING else "unpullable" if throw < CRASHING + UNPULLABLE else "good"


def _shuffled(dice: Random, count: int) -> list[int]:
    return dice.sample(range(count), count)


def _number(repository: Repository) -> int:
    return repository.number


def _acts(dice: Random, seconds: float, workers: int, ingresses: int, visibility: float) -> Iterator[Act]:
    for _ in range(max(2, round(seconds / 8))):
        yield Act(dice.uniform(0.05, 1) * seconds, "kill worker", dice.randrange(workers))
    for _ in range(max(2, round(seconds / 9))):
        pause = visibility + dice.uniform(0.5, 4)
        yield Act(dice.uniform(0.05, 0.95) * seconds, "freeze worker", dice.randrange(workers), pause)
    yield Act(0.7 * seconds, "workers away", 0, min(AWAY, seconds / 8))
    for _ in range(max(1, round(seconds / 25))):
        yield Act(dice.uniform(0.05, 0.95) * seconds, "kill ingress", dice.randrange(ingresses))
    for _ in range(max(1, round(seconds / 25))):
        pause = dice.uniform(1, visibility + 3)
        yield Act(dice.uniform(0.05, 0.95) * seconds, "freeze ingress", dice.randrange(ingresses), pause)
    restarts = max(1, round(seconds / 75))
    for number in range(restarts):
        yield Act((number + dice.uniform(0.3, 0.7)) * seconds / restarts, "restart azurite", 0, dice.uniform(0.2, 2))
    yield Act(0.35 * seconds, "hold", dice.randrange(GROUPS), 0.25 * seconds)


def _outages(dice: Random, seconds: float) -> Iterator[Act]:
    """ARM is away, for reads or for everything, one time after the other."""
    outages = max(2, round(seconds / 50))
    each = seconds / outages
    for number in range(outages):
        begins = (number + dice.uniform(0.1, 0.5)) * each
        kind: Literal["ARM outage", "ARM read outage"] = "ARM read outage" if number % 2 else "ARM outage"
        yield Act(begins, kind, dice.randrange(len(OUTAGES)), dice.uniform(0.1, 0.5) * each)


def _owners(dice: Random, kind: Literal["stop group", "tag group"], seconds: float) -> Iterator[Act]:
    """Owners put their groups to sleep, or hold tags on them, each group for one time after the other."""
    free = dict.fromkeys(range(GROUPS), 0.0)
    begins = sorted(dice.uniform(0.05, 0.9) * seconds for _ in range(max(4, round(seconds / 15))))
    for number, at in enumerate(begins):
        group = dice.choice([group for group, free_at in free.items() if free_at <= at] or list(free))
        pause = LONG * seconds if number % 4 == 1 else dice.uniform(0.5, min(8.0, seconds / 5))
        if free[group] <= at:
            free[group] = at + pause + 1
            yield Act(at, kind, group, pause)


def _patience(seconds: float) -> int:
    return round(25 + 0.2 * seconds)


def _hostile_acts(dice: Random, seconds: float) -> Iterator[Act]:
    """What is done to records and to the queue; and the outage that is longer than the workers are patient."""
    for number in range(max(len(TAMPERING), round(seconds / 20))):
        pause = dice.uniform(0.5, min(10.0, seconds / 6))
        yield Act(
            dice.uniform(0.1, 0.8) * seconds, "tamper with record", dice.randrange(GROUPS), pause + number % 3 / 100
        )
    for _ in range(max(2, round(seconds / 15))):
        yield Act(dice.uniform(0.05, 0.9) * seconds, "forge messages", dice.randrange(1 << 30))
    yield Act(0.2 * seconds, "forge record", 0, 0.2 * seconds)
    yield Act(0.6 * seconds, "recreate group", 0, 0.05 * seconds)
    long = min(2.0 * _patience(seconds), 0.8 * seconds)
    if long > _patience(seconds) + 8:
        yield Act(0.05 * seconds, "long outage", 0, long)


def _attacks(dice: Random, pushes: tuple[Push, ...], seconds: float) -> Iterator[Attack]:
    """Hostile deliveries, each about a push that was told of before."""
    true = [push for push in pushes if push.repository.host and push.repository.kind == "semver" and push.is_good]
    for number in range(max(2 * len(ATTACKS), round(seconds / 2))):
        kind = ATTACKS[number % len(ATTACKS)]
        about = true if kind in {"no such tag", "forged digest"} else pushes
        known = [push for push in about if max(push.deliveries) < 0.85 * seconds]
        if known:
            push = dice.choice(known)
            yield Attack(dice.uniform(max(push.deliveries), 0.95 * seconds), kind, push.number)
