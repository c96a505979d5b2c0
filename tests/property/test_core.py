"""What holds for every record, for every group, and in whatever order things happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from shared.message import UpdateMessage
from tests.unit.builders import (
    ADDRESS,
    RULES,
    SHOP,
    Json,
    at,
    crash_loop,
    digest,
    group,
    message,
    pulled,
    record,
    running,
    waiting,
)
from worker.core.following import repository_of
from worker.core.landing import landed, not_made
from worker.core.look import Absence, Digest, Situation
from worker.core.receive import receive
from worker.core.rules import Action, Put, Rest, RolloutRules, Wait
from worker.failures.classify import Permanent, Transient
from worker.groups.group import ContainerGroup
from worker.policies.parse import parse_policy
from worker.policies.policy import Update
from worker.policies.semver import SemVer
from worker.record.container import Candidate, ContainerRecord, FailedPush, Good, Pin
from worker.record.folding import OUTCOMES_KEPT
from worker.record.overrides import NothingToRollBackTo, hold, release, roll_back
from worker.record.record import (
    ENDED_KEPT,
    FAILURES_KEPT,
    GOODS_KEPT,
    LONGEST_DETAIL,
    MOST_OF_ALL,
    MOST_WAITING,
    PAST_KEPT,
    Record,
)
from worker.record.values import Change, Flight, Hold, Patience, Undone
from worker.targets.target import ContainerRule, Target

NAMES = ("web", "blue", "proxy")
REPOSITORIES = {"web": "acme/shop", "blue": "acme/shop", "proxy": "acme/proxy"}
TAGS = ("1.4", "1.4.1", "1.5", "2.0", "2.0-alpine", "latest", "7")
MOST_LOOKUPS = 10
DIGESTS = tuple(digest(name) for name in "abc")
SEMVERS = ("semver", "semver:minor", "semver+pre")

# Parts of a record, as anybody's hand or an older version might leave them. What is drawn is sampled from few values:
# the same tag, digest, time or id in two places is what makes a difference.

seconds = st.sampled_from([-600, -60, -5, 0, 5, 60, 600])
times = seconds.map(at)
digests = st.sampled_from([None, *DIGESTS])
tags = st.sampled_from(TAGS)
names = st.sampled_from(NAMES)
flags = st.booleans()
IMAGES = {
    name: [
        f"{repository}{written}"
        for written in (*(f":{tag}" for tag in TAGS), *(f"@{item}" for item in DIGESTS), f":1.4@{DIGESTS[0]}", "")
    ]
    for name, repository in REPOSITORIES.items()
}
images = {name: st.sampled_from(written) for name, written in IMAGES.items()}


def pushed(
    id_: str, tag: str, time: float, later: float, by: str | None, sender: str, repository: str, *, dated: bool
) -> UpdateMessage:
    """A push that was received `later` seconds after it was pushed."""
    pushed_at = at(time) if dated else None
    one = message(tag, name=id_, pushed_at=pushed_at, digest=by, sender=sender, repository=repository)
    return one.model_copy(update={"received_at": at(time + later)})


def pushes(
    id_: str,
    repositories: Iterable[str] = ("acme/shop", "acme/shop", "acme/proxy", "acme/other"),
    of: st.SearchStrategy[str] = tags,
) -> st.SearchStrategy[UpdateMessage]:
    """Every push that a message of this id may bring."""
    senders, late = st.sampled_from(["dockerhub"] * 4 + ["manual"]), st.sampled_from([0, 0, 1, 90, -9000])
    return st.builds(
        pushed, st.just(id_), of, seconds, late, digests, senders, st.sampled_from(list(repositories)), dated=flags
    )


WAITING = st.tuples(*(pushes(f"m{number}") for number in range(4)))
INBOX = st.tuples(*(pushes(f"i{number}") for number in range(3)))
OTHERS = st.tuples(*(pushes(f"u{number}") for number in range(2)))
GOODS = {
    name: st.builds(
        Good,
        image=images[name],
        tag=st.sampled_from([None, *TAGS]),
        digest=digests,
        order=st.one_of(st.none(), st.tuples(times, times)),
        moved=flags,
    )
    for name in NAMES
}
FAILURES = {
    name: st.builds(
        FailedPush,
        id=st.sampled_from(["m0", "m1", "x"]),
        tag=tags,
        image=st.one_of(st.none(), images[name]),
        digest=digests,
        pushed_at=st.one_of(st.none(), times),
        code=st.just("CrashLoop"),
        at=times,
        circumstance=flags,
    )
    for name in NAMES
}
PINS = {
    name: st.builds(
        Pin, message=st.sampled_from([message(name="pin0"), message(name="pin1")]), good=GOODS[name], reverting=flags
    )
    for name in NAMES
}
FLIGHTS = st.lists(st.builds(Flight, generation=st.integers(0, 3), sent_at=times), max_size=2).map(tuple)
PATIENCE = st.builds(Patience, looked_at=times, waited=st.sampled_from([0.0, 100.0, 3000.0]))


@st.composite
def containers(draw: st.DrawFn, name: str, waiting_: tuple[UpdateMessage, ...]) -> ContainerRecord:
    """What is known of a container; what waits for it is some of these pushes."""
    candidates = [
        Candidate(
            message=item,
            image=draw(st.one_of(st.none(), images[name])),
            digest=draw(digests),
            restart=draw(flags),
            lookups=draw(st.sampled_from([0, 2])),
        )
        for item in waiting_
        if draw(flags)
    ]
    return ContainerRecord(
        repository=draw(st.sampled_from([f"docker.io/{REPOSITORIES[name]}"] * 5 + ["docker.io/acme/old"])),
        followed=draw(st.sampled_from([True, True, True, False])),
        goods=tuple(draw(st.lists(GOODS[name], min_size=1, max_size=3))),
        candidates=tuple(candidates),
        pin=draw(st.one_of(st.none(), st.none(), PINS[name])),
        failures=tuple(draw(st.lists(FAILURES[name], max_size=2))),
        past=tuple(draw(st.lists(images[name], max_size=2, unique=True))),
    )


@st.composite
def changes(draw: st.DrawFn, askers: list[str]) -> Change:
    """A change of any containers, which any of these ids may have asked for."""
    changed = [name for name in NAMES if draw(flags)]
    return Change(
        generation=draw(st.integers(0, 3)),
        images={name: draw(images[name]) for name in changed},
        asked={name: draw(st.sampled_from(askers)) for name in changed if draw(flags)},
        touched=frozenset(name for name in NAMES if draw(flags)),
        restart=draw(flags),
        began_at=draw(times),
        patience=draw(PATIENCE),
        tries=draw(st.integers(1, 7)),
        well={name: draw(digests) for name in NAMES if draw(flags)},
        address=draw(st.sampled_from([{}, ADDRESS, {"ip": "20.50.0.9"}])),
        failed_before=draw(flags),
        refused=draw(st.sampled_from([None, None, "Refused: so"])),
    )


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Any record that can be read, whether anything of ours could have written it or not."""
    waits = draw(WAITING)
    known = {name: draw(containers(name, waits)) for name in NAMES if draw(flags)}
    askers = [candidate.id for each in known.values() for candidate in each.candidates] + ["pin0", "pin1", "nobody"]
    undone = [
        Undone(message=item, code="CrashLoop", detail="crashed", containers=tuple(n for n in NAMES if draw(flags)))
        for item in draw(OTHERS)
        if draw(flags)
    ]
    return record(
        known,
        inbox=tuple(item for item in draw(INBOX) if draw(flags)),
        hold=draw(st.sampled_from([None, None, Hold(reason="sale", since=at(0))])),
        change=draw(st.one_of(st.none(), changes(askers))),
        flights=draw(FLIGHTS),
        generation=draw(st.integers(0, 3)),
        apart=draw(flags),
        stuck=draw(st.one_of(st.none(), PATIENCE)),
        undone=tuple(undone),
        ended=draw(st.sampled_from([(), ("e1", "e2")])),
    )


def view(how: str, since: float, by_digest: str) -> Json:
    """The view of a container."""
    views = {"runs": running(since), "pulled": pulled(by_digest, since), "crashes": crash_loop(since)}
    return views.get(how, waiting())


def crashed(since: float) -> Json:
    """The view of a container that is in a crash loop, but for its events."""
    return {name: part for name, part in crash_loop(since).items() if name != "events"}


HOWS = st.sampled_from(["runs", "runs", "pulled", "crashes", "waits"])
VIEWS = st.builds(view, HOWS, seconds, st.sampled_from(DIGESTS))


@st.composite
def groups(draw: st.DrawFn) -> ContainerGroup:
    """A group in any state, with containers that run anything."""
    runs = {name: draw(st.sampled_from([*IMAGES[name], "not an image!"])) for name in NAMES if draw(flags)}
    credentials = [{"server": "docker.io", "username": "acme"}]
    return group(
        runs,
        {name: draw(VIEWS) for name in runs},
        state=draw(st.sampled_from(["Succeeded"] * 4 + ["Updating", "Failed"])),
        shown=draw(st.sampled_from(["Running"] * 5 + ["Stopped"])),
        tags=draw(st.sampled_from([{}, {}, {}, {"aci-hooks.hold": "audit"}])),
        imageRegistryCredentials=draw(st.sampled_from([[], [], credentials])),
    )


POLICIES = [
    parse_policy(text)
    for text in ("any", "same-tag", "semver", "semver:minor", "semver+pre", "glob:2*", r"regex:(?P<version>\d+\.\d+)")
]
RULED = st.fixed_dictionaries({}, optional={name: st.sampled_from(POLICIES).map(ContainerRule) for name in NAMES})
TARGETS = st.builds(Target, st.just(SHOP), RULED)
SECRETS = st.sampled_from([frozenset[str](), frozenset({"registry/docker.io"})])
ROLLOUT_RULES = st.builds(replace, st.just(RULES), rollback=flags, secrets=SECRETS)
ANSWERS: st.SearchStrategy[Digest] = st.sampled_from([None, *DIGESTS, Absence("ManifestUnknown", "not there")])


def look(situation: Situation, told: Callable[[UpdateMessage], Digest]) -> tuple[Record, Action]:
    """What the worker does in a look, without its calls: `told` is what the registry says of a push."""
    decided, before = situation.admitted(), None
    for _ in range(MOST_LOOKUPS):
        asked = situation.to_look_up(decided)
        if asked is None or asked == before:
            break
        before = asked
        says = told(asked)
        decided = situation.looked_up(decided, asked, says)
        if isinstance(says, Absence):
            break
    return situation.reconciled(decided)


def check(now: Record) -> None:
    """It can be written and read again, and is as small as it should be."""
    text = now.model_dump_json(exclude_none=True)
    assert Record.model_validate_json(text) == now
    assert len(now.waiting()) <= MOST_OF_ALL
    assert len(now.outcomes) <= OUTCOMES_KEPT
    assert len(now.ended) <= ENDED_KEPT
    details = [outcome.detail for outcome in now.outcomes] + [failed.detail for failed in now.undone]
    assert all(len(detail) <= LONGEST_DETAIL for detail in [*details, *(ending.detail for ending in now.outbox)])
    for container in now.containers.values():
        assert 1 <= len(container.goods) <= GOODS_KEPT
        assert len(container.failures) <= FAILURES_KEPT
        assert len(container.past) <= PAST_KEPT
        assert len({each.id for each in container.candidates}) == len(container.candidates)


def check_put(now: Record, shown: ContainerGroup, action: Action) -> None:
    """A container gets an image of its own repository, or keeps the one that it has."""
    if isinstance(action, Put):
        assert action.images.keys() <= shown.images.keys()
        for name, image in action.images.items():
            assert image == shown.images[name] or repository_of(image) == now.containers[name].repository
        assert now.change is not None
        assert now.change.images == action.images
        assert now.flights[-1] == Flight(generation=now.generation, sent_at=now.change.began_at)


def check_no_downgrade(now: Record, target: Target, action: Action) -> None:
    """What is wanted by a policy of versions is at least as high as what ran well before."""
    if not isinstance(action, Put) or now.change is None:
        return
    for name in now.change.asked:
        one, rule = now.containers[name], target.rule_for(name)
        candidate = one.candidate(now.change.asked[name])
        if rule and isinstance(rule.policy, SemVer) and candidate and one.good.tag:
            assert rule.policy.outranks(one.good.tag, candidate.tag) is not True


@given(st.permutations(range(6)), st.tuples(*(pushes(f"m{number}") for number in range(6))), st.integers(0, 6))
def test_the_same_pushes_give_the_same_record_in_whatever_order_and_however_often_they_come(
    order: list[int], come: tuple[UpdateMessage, ...], cut: int
) -> None:
    together, no_room = receive(record(), come)
    assert no_room == frozenset()
    one_by_one = record()
    for number in [*order, *order[:3]]:
        one_by_one, _ = receive(one_by_one, [come[number]])
    assert one_by_one == together
    halves, _ = receive(receive(record(), come[cut:])[0], come)
    assert halves == together


ALMOST_FULL = tuple(message(name=f"w{number}") for number in range(MOST_WAITING - 5))


@given(st.lists(st.lists(st.integers(0, 9).map("m{}".format), max_size=9), max_size=5))
def test_only_so_many_pushes_wait_in_a_record_and_none_is_lost(batches: list[list[str]]) -> None:
    now, left = record(inbox=ALMOST_FULL), set[str]()
    for names_ in batches:
        now, no_room = receive(now, [message(name=name) for name in names_])
        left |= no_room
        assert not now.waiting().keys() & no_room
    come = {name for names_ in batches for name in names_}
    event("full" if left else "not full")
    assert len(now.inbox) == min(MOST_WAITING, len(ALMOST_FULL) + len(come))
    assert come <= now.waiting().keys() | left


@given(records(), groups(), TARGETS, ROLLOUT_RULES, st.sampled_from([0, 30, 90, 2000]), ANSWERS)
def test_a_look_comes_to_something_whatever_the_record_and_the_group_hold(
    now: Record, shown: ContainerGroup, target: Target, rules: RolloutRules, when: float, told: Digest
) -> None:
    check(now)
    after, action = look(Situation(now, shown, target, rules, at(when)), lambda _: told)
    event(type(action).__name__)
    check(after)
    check_put(after, shown, action)


# A group and its worker over time, with nothing but the pure core between them.


@dataclass
class World:
    """One group, the registry of its images, and the record. What is pushed as `bad` crashes wherever it runs."""

    target: Target
    rules: RolloutRules = RULES
    now: float = 0
    record: Record = field(default_factory=record)
    images: dict[str, str] = field(default_factory=lambda: dict.fromkeys(("web", "blue"), "acme/shop:1.4"))
    registry: dict[str, tuple[float, str]] = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)
    views: dict[str, Json] = field(default_factory=dict)
    late: list[Mapping[str, str]] = field(default_factory=list)
    state: str = "Succeeded"
    shown: str = "Running"
    tags: dict[str, str] = field(default_factory=dict)
    received: list[UpdateMessage] = field(default_factory=list)

    @property
    def group(self) -> ContainerGroup:
        """The group as ARM shows it."""
        return group(self.images, self.views, state=self.state, shown=self.shown, tags=self.tags)

    def push(self, tag: str, age: float = 0, *, bad: bool = False, told: bool = True) -> None:
        """A push comes in that was made `age` seconds ago; its tag stands for an image of its own since then."""
        own = digest(f"image {len(self.received)}")
        image = f"acme/shop:{tag}"
        self.registry[image] = max(self.registry.get(image, (-1e9, "")), (self.now - age, own))
        if bad:
            self.bad.add(own)
        one = message(tag, name=f"m{len(self.received)}", pushed=self.now - age, digest=own if told else None)
        self.received.append(one)
        self.record, no_room = receive(self.record, [one])
        assert not no_room

    def look(self, put: str = "lands", answers: str = "tells") -> Action:
        """One look, and what becomes of its PUT."""
        shown, answer = self.group, partial(self._answer, answers)
        self.record, action = look(Situation(self.record, shown, self.target, self.rules, at(self.now)), answer)
        check(self.record)
        check_put(self.record, shown, action)
        check_no_downgrade(self.record, self.target, action)
        if isinstance(action, Put):
            self._put(action, put)
            check(self.record)
        return action

    def deploy(self, images_: Mapping[str, str]) -> None:
        """Somebody's PUT takes effect: every container is started anew."""
        self.images |= {name: image for name, image in images_.items() if name in self.images}
        self.shown = "Running"
        for name, image in self.images.items():
            runs = image.partition("@")[2] or self.stands_for(image)
            self.views[name] = pulled(runs, self.now) | (crashed(self.now) if runs in self.bad else {})

    def stands_for(self, image: str) -> str:
        """The digest of the newest image of a tag."""
        return self.registry.get(image, (0, DIGESTS[0]))[1]

    def crashes(self, name: str) -> bool:
        """Is a container in a crash loop?"""
        return "previousState" in self.views[name]

    def runs(self, name: str) -> str | None:
        """The digest that a container runs."""
        return self.group.running_digest(name)

    def _answer(self, answers: str, one: UpdateMessage) -> Digest:
        if answers == "absent":
            return Absence("ManifestUnknown", "not there")
        return self.stands_for(f"acme/shop:{one.push.tag}") if answers == "tells" else one.push.digest

    def _put(self, action: Put, how: str) -> None:
        sent = self.record.change
        assert sent is not None
        if how in {"refused", "throttled"}:
            over = how == "refused"
            failure = Permanent("Refused", "no") if over else Transient("TooManyRequests", "slowly", circumstance=True)
            self.record = not_made(landed(self.record, sent), sent, failure, at(self.now), 1, over=over)
            return
        if how in {"lands", "lands unheard"}:
            self.deploy(action.images)
        if how == "late":
            self.late.append(dict(action.images))
        if how == "lands":
            self.record = landed(self.record, sent)


PASSED = st.sampled_from([1, 5, 31, 60, 100, 1000])
PUTS = st.sampled_from(["lands"] * 4 + ["lands unheard", "late", "lost", "refused", "throttled"])
HAPPENS: st.SearchStrategy[tuple[Any, ...]] = st.one_of(
    st.tuples(st.just("push"), tags, st.sampled_from([0, 0, 30, 600]), flags, flags),
    st.tuples(st.just("push"), st.sampled_from(["latest", "1.5"]), st.just(0), flags, flags),
    st.tuples(st.just("look"), PUTS, st.sampled_from(["tells"] * 4 + ["nothing", "absent"])),
    st.tuples(st.sampled_from(["look", "look", "look", "hold", "release", "roll back", "stop", "start"])),
    st.tuples(st.sampled_from(["tag", "untag", "transition", "settle", "late"])),
    st.tuples(st.just("pass"), PASSED),
    st.tuples(st.just("pass"), PASSED),
    st.tuples(st.just("deploy"), st.sampled_from(["web", "blue"]), tags),
    st.tuples(st.sampled_from(["add", "remove"]), st.sampled_from(["blue", "proxy"])),
)
"""What may happen next: one of the things that `happen` lists, and how."""


def happen(world: World, one: tuple[Any, ...]) -> None:  # noqa: C901 (one thing after the other)
    """Let it happen."""
    match one:
        case "push", tag, age, bad, told:
            world.push(tag, age, bad=bad, told=told)
        case "look", *how:
            world.look(*how)
        case "pass", passed:
            world.now += passed
        case ("hold",):
            world.record = hold(world.record, "sale", at(world.now))
        case ("release",):
            world.record = release(world.record)
        case ("roll back",):
            with suppress(NothingToRollBackTo):
                world.record = roll_back(world.record, f"back at {world.now}", at(world.now))
        case ("stop",):
            world.shown = "Stopped"
        case ("start",):
            world.deploy({})
        case ("tag",):
            world.tags = {"aci-hooks.hold": "audit"}
        case ("untag",):
            world.tags = {}
        case ("transition",):
            world.state = "Updating"
        case ("settle",):
            world.state = "Succeeded"
        case ("late",):
            while world.late:
                world.deploy(world.late.pop(0))
        case "deploy", name, tag:
            world.deploy({name: f"acme/shop:{tag}"})
        case "add", name:
            world.images.setdefault(name, f"{REPOSITORIES[name]}:1.4")
            world.views.setdefault(name, pulled(DIGESTS[0], world.now))
        case "remove", name:
            world.images.pop(name, None)
        case _:
            raise AssertionError(one)


def comes_to_rest(world: World) -> None:
    """Nobody stands in the way any more: let time pass until there is nothing left to do."""
    world.shown, world.state, world.tags = "Running", "Succeeded", {}
    world.record = release(world.record)
    for _ in range(200):
        action = world.look()
        if isinstance(action, Rest) or (world.record.change and world.record.change.refused):
            return  # what Azure refuses for good waits for the owner, or for another push
        world.now += action.delay.total_seconds() if isinstance(action, Wait) else 5
    raise AssertionError(f"it does not come to rest: {world.record.change}")


def check_told(world: World) -> None:
    """No push is lost, and none is told twice."""
    told = Counter(ending.message.id for ending in world.record.outbox)
    for leased in world.received:
        assert world.record.knows(leased.id)
        assert told[leased.id] <= 1
        assert (told[leased.id] == 1) == (leased.id in world.record.ended)


@given(
    st.sampled_from(["any", "semver", "semver+pre", "same-tag"]),
    st.sampled_from([("web",), ("web", "blue"), ("web", "blue", "proxy")]),
    flags,
    st.lists(HAPPENS, max_size=25),
)
def test_whatever_happens_no_push_is_lost_and_all_comes_to_rest(
    policy: str, followed: tuple[str, ...], rollback: bool, story: list[tuple[Any, ...]]
) -> None:
    rule = ContainerRule(parse_policy(policy))
    world = World(Target(SHOP, dict.fromkeys(followed, rule)), replace(RULES, rollback=rollback))
    world.deploy({})
    for item in story:
        happen(world, item)
        check(world.record)
        check_told(world)
    comes_to_rest(world)
    check_told(world)
    assert not world.record.waiting()
    assert not world.record.undone
    is_refused = world.record.change is not None and world.record.change.refused
    by_owner = {"deploy", "start"} & {item[0] for item in story}
    if rollback and not is_refused and not by_owner:
        # What an owner starts may pull an image that crashes, and is the owner's own affair.
        assert not [name for name in world.images if name in followed and world.crashes(name)]


@given(
    st.sampled_from(["any", "semver", "semver:minor"]),
    st.lists(st.tuples(tags, st.sampled_from([0, 3, 30, 300]), flags, flags), min_size=1, max_size=8),
)
def test_in_whatever_order_good_pushes_come_the_best_of_them_runs_in_the_end(
    policy: str, story: list[tuple[str, float, bool, bool]]
) -> None:
    rule = ContainerRule(parse_policy(policy))
    world = World(Target(SHOP, {"web": rule}))
    world.deploy({})
    best = "1.4"
    order = (at(-1e6), at(-1e6))
    for tag, age, told, looked in story:
        world.push(tag, age, told=told)
        one = world.received[-1]
        higher = rule.policy.outranks(tag, best) if tag != best else None
        is_better = one.order > order if higher is None else higher
        if is_better and isinstance(rule.policy.decide("1.4", tag), Update):
            best, order = tag, one.order
        if looked:
            world.look()
        world.now += 7
    comes_to_rest(world)
    assert world.runs("web") == world.stands_for(f"acme/shop:{best}")
    assert world.record.containers["web"].good.tag == best
    assert not {ending.result for ending in world.record.outbox} & {"failed", "rolled-back"}
