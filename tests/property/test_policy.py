"""What holds for every policy and every two strings."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple, cast

from hypothesis import assume, event, example, given
from hypothesis import strategies as st

from worker.policies.parse import InvalidPolicy, Policy, SemVer, Skip, Update, parse_policy

numbers = st.integers(0, 12)
VARIANTS = ["", "-alpine", "-slim-bookworm", "-alpine3.19"]


class Spelt(NamedTuple):
    """A version by its parts, known without reading its spelling: `rank` orders them within a variant."""

    numbers: tuple[int, int, int]
    pre: tuple[int, int] | None = None
    variant: str = ""
    spelling: str = "{}.{}.{}"

    @property
    def tag(self) -> str:
        pre = "" if self.pre is None else f"-{('alpha', 'beta', 'rc')[self.pre[0]]}.{self.pre[1]}"
        return self.spelling.format(*self.numbers) + pre + self.variant

    @property
    def rank(self) -> tuple[object, ...]:
        return (*self.numbers, self.pre is None, self.pre or ())


pres = st.one_of(st.none(), st.tuples(st.integers(0, 2), numbers))
spelt = st.builds(
    Spelt,
    st.tuples(numbers, numbers, numbers),
    pres,
    st.sampled_from(VARIANTS),
    st.sampled_from(["{}.{}.{}", "v{}.{}.{}"]),
)


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[Spelt, Spelt]:
    """Two versions that differ in one place or two, as the tags of one repository do."""
    one = draw(spelt)
    place = draw(st.integers(0, 2))
    changed = list(one.numbers)
    changed[place] = draw(numbers)
    other = one._replace(
        numbers=(changed[0], changed[1], changed[2]), pre=draw(st.sampled_from([one.pre, None, (2, 3)]))
    )
    return one, other._replace(variant=draw(st.sampled_from([one.variant] * 4 + VARIANTS)))


odd = st.sampled_from(
    ["latest", "main", "b-7", "b-12", "16", "20260115", "20260115.1", "2026-01-15", "1.4_b2", "1.4_rc1"]
)
tags = st.one_of(spelt.map(lambda one: one.tag), odd)
levels = st.sampled_from(["major", "minor", "patch"])
ends = st.builds("{}.{}".format, numbers, numbers)
ranges = st.one_of(
    st.builds("{}{}".format, st.sampled_from([">=", ">", "=", "^", "~", "<=", "<"]), ends),
    st.builds(">={} <{}".format, ends, ends),
)
semvers = st.builds("semver:{}{}".format, st.one_of(levels, ranges), st.sampled_from(["", "+pre"]))
BY_VERSION = r"regex:v?(?P<version>\d+\.\d+\.\d+(-[a-z]+\.\d+)?)(-alpine3?.*)?"
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


policies = cast("st.SearchStrategy[Policy]", spellings.map(policy_or_none).filter(bool))
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
def test_decide_and_outranks_are_total(policy: Policy, running: str | None, pushed: str) -> None:
    decision = policy.decide(running, pushed)
    assert isinstance(decision, Update | Skip)
    assert decision.reason.isprintable()
    assert policy.outranks(pushed, running or "") in (True, False, None)
    assert policy.decide(running, pushed) == decision


@given(semver_policies, neighbours())
@example(SemVer(), (Spelt((1, 4, 2)), Spelt((1, 4, 1))))
@example(SemVer("minor"), (Spelt((1, 4, 2)), Spelt((2, 0, 0))))
@example(SemVer(), (Spelt((1, 4, 2)), Spelt((1, 5, 0), (2, 1))))
def test_semver_updates_to_what_is_higher_within_its_bounds_and_to_nothing_else(
    policy: SemVer, versions: tuple[Spelt, Spelt]
) -> None:
    old, new = versions
    higher = new.rank > old.rank or new.tag == old.tag
    admitted = new.pre is None or old.pre is not None or policy.pre_releases
    expected = higher and new.variant == old.variant and admitted and _reaches(policy, old, new)
    decision = policy.decide(old.tag, new.tag)
    event(type(decision).__name__)
    assert isinstance(decision, Update) == expected, decision


def _reaches(policy: SemVer, old: Spelt, new: Spelt) -> bool:
    """By the words of docs/policies.md, from the policy's spelling."""
    bound = str(policy).partition(":")[2].removesuffix("+pre")
    if bound in {"", "minor", "patch"}:
        fixed = {"": 0, "minor": 1, "patch": 2}[bound]
        return new.numbers[:fixed] == old.numbers[:fixed]
    return all(_holds(one, new) for one in bound.split())


def _holds(comparator: str, new: Spelt) -> bool:
    major, minor = (int(one) for one in re.findall(r"\d+", comparator))
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
    return new.rank >= Spelt((*low, 0)).rank and (high is None or new.numbers[:2] < high)


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


@given(st.one_of(semver_policies, st.just(cast("SemVer", parse_policy(BY_VERSION)))), neighbours())
def test_what_decide_updates_outranks(policy: SemVer, versions: tuple[Spelt, Spelt]) -> None:
    old, new = versions
    assume(old.rank != new.rank)
    if isinstance(policy.decide(old.tag, new.tag), Update):
        assert new.rank > old.rank
        assert policy.outranks(new.tag, old.tag) is True
        assert policy.outranks(old.tag, new.tag) is False


@given(tags, tags)
def test_at_most_one_of_two_tags_outranks_the_other(one: str, other: str) -> None:
    assert not (SemVer().outranks(one, other) and SemVer().outranks(other, one))


@given(st.sampled_from(["any", "same-tag", "semver", "semver:patch", "glob:*", "regex:.*", BY_VERSION]), spelt)
def test_the_running_tag_moved_is_an_update(policy: str, version: Spelt) -> None:
    tag = version._replace(variant="").tag
    assert parse_policy(policy).decide(tag, tag) == Update(f"the tag {tag} moved")
