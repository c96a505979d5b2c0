"""What holds for every policy and every two strings."""

from __future__ import annotations

from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from worker.policy import InvalidPolicy, Policy, SemVer, Skip, Update, parse_policy
from worker.semver import Version, parse_version

numbers = st.integers(0, 12)
versions = st.builds(
    lambda v, parts, pre, variant, build: v + ".".join(map(str, parts)) + pre + variant + build,
    st.sampled_from(["", "v"]),
    st.lists(numbers, min_size=1, max_size=4),
    st.one_of(st.just(""), st.builds("-{}{}".format, st.sampled_from(["rc.", "rc", "beta.", "alpha", "0."]), numbers)),
    st.sampled_from(["", "-alpine", "-slim-bookworm", "-alpine3.19"]),
    st.sampled_from(["", "+b1", "_b2"]),
)
tags = st.one_of(versions, st.sampled_from(["latest", "main", "b-7", "b-12"]))
bounds = st.one_of(
    st.sampled_from(["major", "minor", "patch"]),
    st.lists(
        st.builds("{}{}.{}".format, st.sampled_from([">=", ">", "<", "<=", "=", "^", "~"]), numbers, numbers),
        min_size=1,
        max_size=3,
    ).map(" ".join),
)
semvers = st.builds("semver:{}{}".format, bounds, st.sampled_from(["", "+pre"]))
spellings = st.one_of(
    st.sampled_from(["any", "same-tag", "semver", "semver+pre", r"regex:b-(?P<version>\d+)", "glob:v*", "glob:[!a]*"]),
    semvers,
    st.builds("{}:{}".format, st.sampled_from(["glob", "regex", "semver"]), st.text(max_size=20)),
)


def policy_or_none(text: str) -> Policy | None:
    try:
        return parse_policy(text)
    except InvalidPolicy:
        return None


policies = cast("st.SearchStrategy[Policy]", spellings.map(policy_or_none).filter(bool))


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


@given(semvers.map(policy_or_none), tags, tags)
def test_semver_never_goes_down(policy: SemVer | None, running: str, pushed: str) -> None:
    if policy is None or not isinstance(policy.decide(running, pushed), Update):
        return
    old, new = parse_version(running), parse_version(pushed)
    assert old is not None
    assert new is not None
    assert new.variant == old.variant
    assert pushed == running or new.precedence > old.precedence
    assert _stays_within(policy, old, new)
    assert not new.pre_release or old.pre_release or policy.pre_releases


def _stays_within(policy: SemVer, old: Version, new: Version) -> bool:
    match policy.bound:
        case "major":
            return True
        case "minor":
            return new.shares(1, old)
        case "patch":
            return new.shares(2, old)
        case _:
            return new in policy.bound


@given(semvers.map(policy_or_none), st.lists(tags, min_size=1, max_size=8))
def test_any_order_of_pushes_ends_as_high_or_higher_than_each_update(policy: SemVer | None, pushes: list[str]) -> None:
    if policy is None:
        return
    running = pushes[0]
    for pushed in pushes[1:]:
        if isinstance(policy.decide(running, pushed), Update):
            assert policy.outranks(running, pushed) is not True
            running = pushed


@given(semvers.map(policy_or_none), tags, tags)
def test_what_decide_updates_outranks(policy: SemVer | None, running: str, pushed: str) -> None:
    if policy and running != pushed and isinstance(policy.decide(running, pushed), Update):
        assert policy.outranks(pushed, running) is True
        assert policy.outranks(running, pushed) is False


@given(tags, tags)
def test_at_most_one_of_two_tags_outranks_the_other(one: str, other: str) -> None:
    assert not (SemVer().outranks(one, other) and SemVer().outranks(other, one))


@given(st.sampled_from(["any", "same-tag", "semver", "glob:*", "regex:.*"]), versions)
def test_the_running_tag_moved_is_an_update(policy: str, tag: str) -> None:
    decision = parse_policy(policy).decide(tag, tag)
    assert decision == Update(f"the tag {tag} moved") or (policy == "semver" and isinstance(decision, Skip))
