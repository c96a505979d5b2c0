"""What holds for every policy and every two strings."""

from __future__ import annotations

import re
from itertools import pairwise, permutations
from random import Random
from typing import NamedTuple, cast

from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st

from tests.unit.builders import RULES, SHOP, at, digest, group, message, queued, record
from tests.unit.policy_table import policy_of
from tests.unit.test_controller_sweep import Registry, Round
from worker.core.admit import admit
from worker.core.plan import plan
from worker.policies.choose import best_tag
from worker.policies.parse import InvalidPolicy, Policy, SemVer, Skip, Update, parse_policy
from worker.ports import Found
from worker.targets.target import Target

numbers = st.integers(0, 12)
VARIANTS = ["", "-alpine", "_alpine3.19", "-slim-bookworm", "-debian-12", "_x86_64"]
REVISIONS = ["", "-{}", "-r{}", "-ls{}", "_build{}", "-2023051{}"]


class Spelt(NamedTuple):
    """A version by its parts, known without reading its spelling: `line` is kept, `rank` orders those of one line."""

    numbers: tuple[int, ...]
    pre: tuple[int, int] | None = None
    variant: str = ""
    v: str = ""
    build: int | None = None
    revision: tuple[str, int] = ("", 0)

    @property
    def tag(self) -> str:
        pre = "" if self.pre is None else f"-{('alpha', 'beta', 'rc')[self.pre[0]]}.{self.pre[1]}"
        build = "" if self.build is None else f"_{self.build}"
        revision = self.revision[0].format(self.revision[1] % 10)
        return self.v + ".".join(map(str, self.numbers)) + build + pre + self.variant + revision

    @property
    def line(self) -> tuple[object, ...]:
        return self.v, len(self.numbers), self.build is None, self.variant.replace("_", "-")

    @property
    def rank(self) -> tuple[object, ...]:
        build = -1 if self.build is None else self.build
        return self.numbers, build, self.pre is None, self.pre or (), self.last

    @property
    def last(self) -> int:
        digits = re.sub(r"[^0-9{}]", "", self.revision[0]).format(self.revision[1] % 10)
        return int(digits) if self.revision[0] else -1


counts = st.integers(1, 4).flatmap(lambda count: st.tuples(*[numbers] * count))
pres = st.one_of(st.none(), st.tuples(st.integers(0, 2), numbers))
revisions = st.tuples(st.sampled_from(REVISIONS), st.integers(0, 9))
spelt = st.builds(
    Spelt,
    counts,
    pres,
    st.sampled_from(VARIANTS),
    st.sampled_from(["", "v"]),
    st.one_of(st.none(), st.none(), numbers),
    # A number right behind a pre-release belongs to it.
    revisions,
).filter(lambda item: not (item.pre and not item.variant and item.revision[0]))


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[Spelt, Spelt]:
    """Two versions that differ in one place or two, as the tags of one repository do."""
    one = draw(spelt)
    changed = list(one.numbers)
    changed[draw(st.integers(0, len(changed) - 1))] = draw(numbers)
    other = one._replace(numbers=tuple(changed), pre=draw(st.sampled_from([one.pre, None, (2, 3)])))
    other = other._replace(
        variant=draw(st.sampled_from([one.variant] * 8 + VARIANTS)),
        v=draw(st.sampled_from([one.v] * 8 + ["", "v"])),
        build=draw(st.sampled_from([one.build] * 4 + [None, 3])),
        revision=draw(st.one_of(st.just(one.revision), revisions)),
    )
    if draw(st.integers(0, 9)) == 0:
        other = other._replace(numbers=(*other.numbers, 1)[:4])
    assume(not (other.pre and not other.variant and other.revision[0]))
    return one, other


@st.composite
def repositories(draw: st.DrawFn, pre_releases: bool = True) -> tuple[str, list[str]]:
    """The running tag and the tags of its repository, most of which are of its line."""
    running = draw(spelt.filter(lambda item: pre_releases or item.pre is None))
    listed: list[str] = []
    for _ in range(draw(st.integers(1, 6))):
        changed = list(running.numbers)
        place = draw(st.integers(0, len(changed) - 1))
        changed[place] = draw(st.sampled_from([changed[place] + 1, changed[place] + 2, 0, 5, 12]))
        revision = draw(st.sampled_from([running.revision, *((running.revision[0], number) for number in (3, 7))]))
        pre = draw(st.sampled_from([running.pre, None, (2, 3)])) if pre_releases else None
        tag = running._replace(numbers=tuple(changed), revision=revision, pre=pre)
        listed.append(draw(st.sampled_from([tag.tag] * 9 + ["latest", "1.5", "v1.5.0", "1.5.0-alpine", "1.6.0-rc.1"])))
    return running.tag, listed


odd = st.sampled_from(
    ["latest", "main", "b-7", "b-12", "16", "20260115", "20260115.1", "2026-01-15", "1.4_b2", "1.4_rc1", "5512.0.0"]
)
tags = st.one_of(spelt.map(lambda item: item.tag), odd)
levels = st.sampled_from(["major", "minor", "patch"])
ends = st.builds("{}.{}".format, numbers, numbers)
ranges = st.one_of(
    st.builds("{}{}".format, st.sampled_from([">=", ">", "=", "^", "~", "<=", "<"]), ends),
    st.builds(">={} <{}".format, ends, ends),
)
semvers = st.builds("semver:{}{}".format, st.one_of(levels, ranges), st.sampled_from(["", "+pre"]))
BY_VERSION = r"regex:v?(?P<version>\d+\.\d+\.\d+(-[a-z]+\.\d+)?)(-alpine3?.*)?"
LONG_FORMS = [
    "{}",
    "{match: ['glob:1*', 'regex:^v'], exclude: ['glob:*-rc*', 1.5.3]}",
    "{order: semver, within: minor, start: true}",
    "{order: semver, pre_releases: true, match: ['regex:^v?1'], start: true}",
    r"{order: semver, extract: '(\d+)\.(\d+)\.(\d+).*'}",
    "{order: number}",
    r"{order: number, extract: 'v?(\d+)\.(\d+)(?:\.(\d+))?(?:-r(\d+))?.*', start: true}",
    "{order: text}",
    "{order: text, extract: '([a-z]+)-(.*)'}",
]
spellings = st.one_of(
    st.sampled_from(["any", "same-tag", "semver", "semver+pre", r"regex:b-(?P<version>\d+)", "glob:v*", "glob:[!a]*"]),
    st.just(BY_VERSION),
    semvers,
    st.builds("{}:{}".format, st.sampled_from(["glob", "regex", "semver"]), st.text(max_size=20)),
)


def policy_or_none(text: str) -> Policy | None:
    try:
        return parse_policy(text)
    except InvalidPolicy:
        return None


policies = st.one_of(
    cast("st.SearchStrategy[Policy]", spellings.map(policy_or_none).filter(bool)),
    st.sampled_from(LONG_FORMS).map(policy_of),
)
semver_policies = cast("st.SearchStrategy[SemVer]", semvers.map(policy_or_none).filter(bool))


@given(st.one_of(st.text(), spellings))
def test_a_text_is_a_policy_or_an_invalid_policy(text: str) -> None:
    try:
        policy = parse_policy(text)
    except InvalidPolicy as error:
        problem, nearest = error.problem, error.suggestion or "any"
    else:
        problem, nearest = "none", str(policy)
        assert parse_policy(nearest) == policy
    assert problem
    assert str(parse_policy(nearest))


@given(policies, st.one_of(st.none(), st.text(), tags), st.one_of(st.text(), tags))
@example(policy_of("{order: semver, start: true}"), "\x1f", "1.0")
@example(policy_of("{order: number, start: true}"), "\x1f", "1")
def test_decide_and_outranks_are_total(policy: Policy, running: str | None, pushed: str) -> None:
    decision = policy.decide(running, pushed)
    assert isinstance(decision, Update | Skip)
    assert decision.reason.isprintable()
    assert policy.outranks(pushed, running or "") in (True, False, None)
    assert policy.prefers(running, pushed, running or "") in (True, False, None)
    assert policy.places(pushed) in (True, False)
    assert str(policy)
    assert policy.decide(running, pushed) == decision


@given(semver_policies, neighbours())
@example(SemVer(), (Spelt((1, 4, 2)), Spelt((1, 4, 1))))
@example(SemVer("minor"), (Spelt((1, 4, 2)), Spelt((2, 0, 0))))
@example(SemVer(), (Spelt((1, 4, 2)), Spelt((1, 5, 0), (2, 1))))
@example(SemVer(), (Spelt((1, 4, 2)), Spelt((1, 5))))
@example(SemVer(), (Spelt((1, 4, 2), revision=("-r{}", 9)), Spelt((1, 4, 2), revision=("-r{}", 8))))
@example(
    SemVer(), (Spelt((1, 4, 2), variant="-alpine3.19", revision=("-{}", 1)), Spelt((1, 4, 3), variant="-alpine3.19"))
)
def test_semver_updates_to_what_is_higher_within_its_bounds_and_to_nothing_else(
    policy: SemVer, versions: tuple[Spelt, Spelt]
) -> None:
    old, new = versions
    higher = new.rank > old.rank or new.tag == old.tag
    admitted = new.pre is None or old.pre is not None or policy.pre_releases
    expected = higher and new.line == old.line and admitted and _reaches(policy, old, new)
    decision = policy.decide(old.tag, new.tag)
    event(type(decision).__name__)
    assert isinstance(decision, Update) == expected, decision


def _reaches(policy: SemVer, old: Spelt, new: Spelt) -> bool:
    """By the words of docs/policies.md, from the policy's spelling."""
    bound = str(policy).partition(":")[2].removesuffix("+pre")
    if bound in {"", "minor", "patch"}:
        fixed = {"": 0, "minor": 1, "patch": 2}[bound]
        return new.numbers[:fixed] == old.numbers[:fixed]
    return all(_holds(item, new) for item in bound.split())


def _holds(comparator: str, new: Spelt) -> bool:
    major, minor = (int(item) for item in re.findall(r"\d+", comparator))
    named, beyond = (major, minor), (major, minor + 1)
    low, high = {
        ">=": (named, None),
        ">": (beyond, None),
        "=": (named, beyond),
        "<": ((0, 0), named),
        "<=": ((0, 0), beyond),
        "~": (named, beyond),
        "^": (named, (major + 1, 0) if major else beyond),
    }[comparator.rstrip("0123456789.")]
    # All that the tag may stand for must be inside: 1 means the numbers from 1.0 to 1.999.
    first, last = ((*new.numbers, *[filler] * 3)[:4] for filler in (0, 999))
    is_before_it = new.pre is not None and first == (*low, 0, 0)
    return first >= (*low, 0, 0) and not is_before_it and (high is None or last < (*high, 0, 0))


@given(semver_policies, st.lists(tags, min_size=2, max_size=6))
def test_no_row_of_pushes_leads_back_to_a_tag_that_ran(policy: SemVer, pushes: list[str]) -> None:
    ran = [pushes[0]]
    for pushed in pushes[1:] * 2:
        if pushed != ran[-1] and isinstance(policy.decide(ran[-1], pushed), Update):
            ran.append(pushed)
    assert len(set(ran)) == len(ran)
    for before, after in pairwise(ran):
        assert policy.outranks(after, before) is not False
        assert policy.outranks(before, after) is not True


@given(policies.filter(lambda policy: policy.ordered), st.lists(tags, min_size=2, max_size=6))
def test_nothing_goes_down_in_any_order_that_a_policy_has(policy: Policy, pushes: list[str]) -> None:
    ran = [pushes[0]]
    for pushed in pushes[1:] * 2:
        if isinstance(policy.decide(ran[-1], pushed), Update):
            ran.append(pushed)
    for before, after in pairwise(ran):
        assert policy.outranks(before, after) is not True
    for place, after in enumerate(ran):
        assert not any(policy.outranks(before, after) for before in ran[:place])


@given(
    st.one_of(semver_policies, st.sampled_from([parse_policy(BY_VERSION), *map(policy_of, LONG_FORMS[2:])])),
    neighbours(),
)
def test_what_decide_updates_outranks(policy: Policy, versions: tuple[Spelt, Spelt]) -> None:
    old, new = (version.tag for version in versions)
    assume(old != new and policy.places(old))
    if isinstance(policy.decide(old, new), Update):
        assert policy.outranks(new, old) is not False
        assert policy.outranks(old, new) is not True
        if policy.outranks(new, old):
            assert policy.outranks(old, new) is False
            assert policy.prefers(old, new, old) is True


@given(policies, tags, tags)
def test_at_most_one_of_two_tags_outranks_the_other(policy: Policy, one: str, other: str) -> None:
    assert not (policy.outranks(one, other) and policy.outranks(other, one))


STARTED = [("{order: semver, start: true}", "latest"), ("{order: number, start: true}", "main")]
starts = st.tuples(st.sampled_from(STARTED), st.lists(st.one_of(tags, numbers.map(str)), max_size=8))
choices = st.one_of(
    st.tuples(st.one_of(semver_policies, policies), repositories()).map(lambda each: (each[0], *each[1])),
    starts.map(lambda each: (policy_of(each[0][0]), each[0][1], each[1])),
)


@given(choices)
def test_preferences_lead_in_no_circle(choice: tuple[Policy, str, list[str]]) -> None:
    policy, running, listed = choice
    admitted = [tag for tag in listed if isinstance(policy.decide(running, tag), Update)]
    for item, two, three in permutations(admitted[:5], 3):
        assert not (policy.prefers(running, item, two) and policy.prefers(running, two, item))
        if policy.prefers(running, item, two) and policy.prefers(running, two, three):
            assert policy.prefers(running, item, three)


@given(choices, st.randoms(use_true_random=False))
def test_the_best_tag_of_a_list_is_the_same_in_whatever_order(
    choice: tuple[Policy, str, list[str]], chance: Random
) -> None:
    policy, running, listed = choice
    best = best_tag(policy, running, listed)
    shuffled = [*listed, *listed[:2]]
    chance.shuffle(shuffled)
    assert best_tag(policy, running, shuffled) == best
    event("some" if best else "none")
    if best is None:
        return
    assert isinstance(policy.decide(running, best), Update)
    assert policy.outranks(best, running) is not False
    admitted = [tag for tag in listed if isinstance(policy.decide(running, tag), Update)]
    assert not any(policy.prefers(running, tag, best) for tag in admitted)


CONFLUENT = ["semver", "semver:minor", "semver:patch", "semver:>=1.4 <9", "{order: text}", "{order: number}"]


@given(st.sampled_from(CONFLUENT).map(policy_of), repositories(pre_releases=False))
def test_webhooks_in_any_order_and_the_sweep_come_to_the_same_tag(
    policy: Policy, repository: tuple[str, list[str]]
) -> None:
    """Where no pre-release runs: what may follow one depends on whether its release has come."""
    running, pushed = repository
    found = best_tag(policy, running, pushed) or running
    event("none" if found == running else "some")
    for order in (pushed, pushed[::-1], sorted(pushed)):
        runs = running
        for tag in order:
            if isinstance(policy.decide(runs, tag), Update):
                runs = tag
        assert runs == found
    assert best_tag(policy, found, pushed) is None


@settings(max_examples=40)
@given(
    st.sampled_from([*CONFLUENT, "{order: semver, start: true}", "{order: number, start: true}"]).map(policy_of),
    repositories(pre_releases=False),
    st.booleans(),
)
def test_plan_webhooks_and_the_sweep_agree(policy: Policy, repository: tuple[str, list[str]], of_latest: bool) -> None:
    running, listed = repository
    running = "latest" if of_latest else running
    others = sorted({tag for tag in listed if tag != running})
    target, shown = Target(SHOP, everything=policy), group({"web": f"acme/shop:{running}"})
    pushes = [message(tag, pushed=place) for place, tag in enumerate(others)]

    admitted = admit(record(inbox=tuple(pushes)), shown, target, at(60))
    planned = {
        each.push.tag
        for each in pushes
        if plan(target, shown, record(), each, digest(each.push.tag), RULES, at(60)).action == "update"
    }
    swept = Round(
        registry=Registry({tag: Found(digest(tag)) for tag in [running, *listed]}),
        images={"web": f"acme/shop:{running}"},
        digests={f"acme/shop:{running}": digest(running)},
    )
    swept.run(target)

    assert planned == set(queued(admitted))
    best = queued(admitted)[:1]
    event("some" if best else "none")
    assert [tag for tag, _ in swept.pushes if tag != running] == best


@given(st.sampled_from(["major", "minor", "patch", ">=1.4 <2", "^0.4"]), st.booleans(), neighbours())
def test_a_short_form_of_semver_is_an_abbreviation_of_the_long_one(
    bound: str, pre_releases: bool, versions: tuple[Spelt, Spelt]
) -> None:
    old, new = (version.tag for version in versions)
    short = parse_policy(f"semver:{bound}{'+pre' if pre_releases else ''}")
    long = policy_of(f"{{order: semver, within: '{bound}', pre_releases: {str(pre_releases).lower()}}}")
    assert short.decide(old, new) == long.decide(old, new)
    assert short.outranks(new, old) == long.outranks(new, old)


@given(
    st.sampled_from(
        [
            ("any", "{}"),
            ("glob:1*", "{match: ['glob:1*']}"),
            (r"regex:v?\d.*", r"{match: ['regex:^(?:v?\d.*)$']}"),
            (
                r"regex:v?(?P<version>\d+\.\d+).*",
                r"{order: semver, extract: 'v?(\d+\.\d+).*', pre_releases: true}",
            ),
        ]
    ),
    st.one_of(st.none(), tags),
    tags,
)
def test_so_are_the_other_short_forms(forms: tuple[str, str], running: str | None, pushed: str) -> None:
    short, long = (policy_of(form) for form in forms)
    assert type(short.decide(running, pushed)) is type(long.decide(running, pushed))
    assert short.outranks(pushed, running or "") == long.outranks(pushed, running or "")
    assert short.ordered == long.ordered


@given(st.sampled_from(["any", "same-tag", "semver", "semver:patch", "glob:*", "regex:.*", BY_VERSION]), spelt)
def test_the_running_tag_moved_is_an_update(policy: str, version: Spelt) -> None:
    tag = "1.4.2" if policy == BY_VERSION else version.tag
    assert parse_policy(policy).decide(tag, tag) == Update(f"the tag {tag} moved")
