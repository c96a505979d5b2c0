"""Policies: the table of decisions, the order of tags, and the reading of policies from text."""

from __future__ import annotations

import pytest

from tests.unit.policy_table import PAGE, Row, read_table, render
from worker.policies.parse import (
    AnyTag,
    Glob,
    InvalidPolicy,
    Policy,
    Regex,
    SameTag,
    SemVer,
    Skip,
    Update,
    parse_policy,
)
from worker.policies.versions import Range, Version, describe_change, parse_range, parse_version

TABLE = read_table()


@pytest.mark.parametrize("row", TABLE, ids=[f"{row.policy} {row.running} {row.pushed[:20]!r}" for row in TABLE])
def test_decision_and_reason(row: Row) -> None:
    assert parse_policy(row.policy).decide(row.running, row.pushed) == row.decision


def test_the_table_is_large_and_says_nothing_twice() -> None:
    assert len(TABLE) >= 200
    questions = [(row.policy, row.running, row.pushed) for row in TABLE]
    assert len(set(questions)) == len(questions)


def test_the_docs_show_the_table_as_it_is() -> None:
    page = PAGE.read_text()
    assert render(page) == page, "run: python -m tests.unit.policy_table"


@pytest.mark.parametrize("policy", ["any", "same-tag", "glob:*", r"regex:v\d+"])
def test_policies_without_an_order_leave_it_to_time(policy: str) -> None:
    assert not parse_policy(policy).ordered
    assert parse_policy(policy).outranks("v2", "v1") is None


def test_versions_have_an_order() -> None:
    assert parse_policy("semver").ordered


@pytest.mark.parametrize(
    ("policy", "pushed", "wanted", "expected"),
    [
        ("semver", "1.5.0", "1.4.2", True),
        ("semver", "1.10.0", "1.9.0", True),
        ("semver", "1.4.2", "1.5.0", False),
        ("semver", "1.4.0", "1.4", False),
        ("semver", "1.4", "1.4.0", False),
        ("semver", "1.4.2", "1.4.2", None),
        ("semver", "latest", "1.4.2", False),
        ("semver", "1.4.2", "latest", None),
        ("semver", "latest", "latest", None),
        ("semver", "1.5.0-rc.1", "1.4.2", True),
        ("semver", "1.5.0-rc.1", "1.5.0", False),
        ("semver", "1.5.0-alpine", "1.4.2", False),
        ("semver", "1.5.0-alpine", "1.4.2-alpine", True),
        (r"regex:b-(?P<version>\d+)", "b-10", "b-9", True),
        (r"regex:b-(?P<version>\d+)", "b-9", "b-10", False),
        (r"regex:b-(?P<version>\d+)", "b-9", "b-9", None),
        (r"regex:b-(?P<version>\d+)", "b-9", "main", None),
        (r"regex:b-(?P<version>\d+)-.*", "b-9-x", "b-9-y", None),
        (r"regex:b-(?P<version>\d+)", "main", "b-9", False),
        (r"regex:b-(?P<version>\d+)", "b 9", "b-9", False),
    ],
)
def test_outranks(policy: str, pushed: str, wanted: str, expected: bool | None) -> None:
    assert parse_policy(policy).outranks(pushed, wanted) is expected


@pytest.mark.parametrize(
    ("text", "policy", "spelling"),
    [
        ("any", AnyTag(), "any"),
        (" same-tag ", SameTag(), "same-tag"),
        ("semver", SemVer(), "semver"),
        ("semver:major", SemVer("major"), "semver"),
        ("semver:minor", SemVer("minor"), "semver:minor"),
        ("semver:patch+pre", SemVer("patch", pre_releases=True), "semver:patch+pre"),
        ("semver+pre", SemVer(pre_releases=True), "semver+pre"),
        (" semver:minor", SemVer("minor"), "semver:minor"),
        ("semver:<5 <3", SemVer(Range("<5 <3", (), (3,))), "semver:<5 <3"),
        ("semver:<3 <5", SemVer(Range("<3 <5", (), (3,))), "semver:<3 <5"),
        ("semver:>= 1.4  <2", SemVer(Range(">=1.4 <2", (1, 4), (2,))), "semver:>=1.4 <2"),
        ("semver:^1.4+pre", SemVer(Range("^1.4", (1, 4), (2,)), pre_releases=True), "semver:^1.4+pre"),
        ("glob:v1.*", Glob("v1.*"), "glob:v1.*"),
        ("regex:a:b", Regex("a:b"), "regex:a:b"),
    ],
)
def test_policies_are_values_with_one_spelling(text: str, policy: Policy, spelling: str) -> None:
    assert parse_policy(text) == policy
    assert str(policy) == spelling
    assert hash(parse_policy(spelling)) == hash(policy)


NONE = "nothing is near"


@pytest.mark.parametrize(
    ("text", "problem", "suggestion"),
    [
        ("", "write any, same-tag", None),
        ("latest", "write any, same-tag", None),
        ("Any", "write any, same-tag", "any"),
        ("any:x", "write any, same-tag", "any"),
        ("same_tag", "write any, same-tag", "same-tag"),
        ("smever:patch", "write any, same-tag", "semver:patch"),
        ("minor", "write any, same-tag", "semver:minor"),
        ("^1.4", "write any, same-tag", "semver:^1.4"),
        ("1.4", "write any, same-tag", "semver:~1.4"),
        ("regexp:v.*", "write any, same-tag", "regex:v.*"),
        ("semver:", "there is none after the colon", "semver"),
        ("semver+pre:minor", "write any, same-tag", "semver:minor"),
        ("semver:minro", "'minro' is not a comparator", "semver:minor"),
        ("semver:1.x", "'1.x' is not a comparator", "semver:~1"),
        ("semver:>=1.4, <2", "'>=1.4,' is not a comparator", "semver:>=1.4 <2"),
        ("semver:>=1.5.0-rc.1", "'>=1.5.0-rc.1' is not a comparator", None),
        ("semver:>=2 <1", "no version is within >=2 <1", None),
        ("semver:<0", "no version is within <0", None),
        ("semver:MINOR", "'MINOR' is not a comparator", "semver:minor"),
        ("semver=minor", "write any, same-tag", "semver:minor"),
        ("Semver minor", "write any, same-tag", "semver:minor"),
        ("semver:minor+prerelease", "'minor+prerelease' is not a comparator", "semver:minor+pre"),
        ("semver:v1.4", "'v1.4' is not a comparator", "semver:~1.4"),
        ("semver:^1 || ^2", "'||' is not a comparator", NONE),
        ("semver:>=1.4.0-0", "'>=1.4.0-0' is not a comparator", NONE),
        ("glob:", "the pattern is missing", None),
        ("glob:{a,b}", "no tag holds '{'; alternatives such as a or b are written regex:(a|b)", None),
        ("glob:v1.*,v2.*", "no tag holds ','", None),
        ("glob: v1*", "no tag holds ' '", None),
        ("glob:[[:alpha:]]*", "no tag holds '['", None),
        ("glob:[!*]", "no tag holds '*'", None),
        ("glob:[^a]*", "write [!abc] for any character but these", None),
        ("glob:v[12", "a [ is never closed", None),
        ("glob:v[z-a]", "RE2 says: invalid character class range", None),
        ("regex:", "the pattern is missing", None),
        ("regex:(", "RE2 says: missing )", None),
        (
            r"regex:(a)\1",
            r"RE2 says: invalid escape sequence: \1; RE2 has neither look-around nor back-references",
            None,
        ),
        ("regex:(?=a)", "RE2 says: invalid perl operator: (?=; RE2 has neither look-around nor back-references", None),
        ("regex:(?<!a)b", "RE2 has neither look-around nor back-references", None),
        (r"regex:(?P<Version>\d+)", "a group that orders the tags is named version, not Version", None),
        ("regex:((a{100}){100}){100}", "RE2 says", None),
        ("regex:" + "a" * 513, "at most", None),
        ("glob:é", "printable ASCII", None),
        ("any\n", "printable ASCII", None),
        ("\ud800", "printable ASCII", None),
    ],
)
def test_what_is_wrong_and_what_was_meant(text: str, problem: str, suggestion: str | None) -> None:
    with pytest.raises(InvalidPolicy) as caught:
        parse_policy(text)
    assert problem in caught.value.problem
    if suggestion == NONE:
        assert caught.value.suggestion is None
    elif suggestion is not None:
        assert caught.value.suggestion == suggestion
        assert f"did you mean `{suggestion}`?" in str(caught.value)
    assert "is not a policy" in str(caught.value)


@pytest.mark.parametrize("make", [Glob, Regex])
def test_patterns_made_by_hand_are_bounded_too(make: type[Glob | Regex]) -> None:
    for pattern in ("", "a" * 513, "é"):
        with pytest.raises(ValueError, match="pattern"):
            make(pattern)


@pytest.mark.parametrize(
    "policy",
    [
        "regex:(a*)*b",
        "regex:(a|a)*b",
        "regex:(.*)(.*)(.*)(.*)[^a]",
        "regex:(a?){100}a{100}",
        "glob:" + "*a" * 200 + "b",
    ],
)
def test_a_hostile_pattern_answers(policy: str) -> None:
    """An engine that tries every way would still be at it when the machine is scrapped."""
    hostile = parse_policy(policy)
    assert isinstance(hostile.decide("v1", "a" * 128), Skip | Update)


@pytest.mark.parametrize("tag", ["1" * 10_000, "1." * 5_000, "1.0" + "-a" * 5_000, "a" * 10_000_000])
def test_a_hostile_tag_answers(tag: str) -> None:
    for policy in ("any", "same-tag", "semver", "glob:*", "regex:(.*)*"):
        decision = parse_policy(policy).decide(tag, tag)
        assert isinstance(decision, Skip)
        assert len(decision.reason) < 300


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.4.2", Version((1, 4, 2))),
        ("V1.4", Version((1, 4))),
        ("1.5.0-rc.1", Version((1, 5, 0), ("rc", "1"))),
        ("1.5.0-RC1-slim-bookworm", Version((1, 5, 0), ("RC", "1"), "slim-bookworm")),
        ("1.5.0-M2", Version((1, 5, 0), ("M", "2"))),
        ("3.14.0b2", Version((3, 14, 0), ("b", "2"))),
        ("1.5.0-beta-alpine3.19", Version((1, 5, 0), ("beta",), "alpine3.19")),
        ("1.5.0-debian-12", Version((1, 5, 0), (), "debian-12")),
        ("1.5.0-0.3.7+b.1", Version((1, 5, 0), ("0", "3", "7"))),
        ("1.5.0-abcdef1_b1", Version((1, 5, 0), (), "abcdef1")),
        ("1.5.0alpine", None),
        ("1.5.0-", None),
        ("1.5.0-a--b", None),
        ("1.5.0+", None),
        ("1.5.", None),
        ("1.5.٣", None),
        ("", None),
        ("v", None),
        ("1" * 128, Version((int("1" * 128),))),
        ("1" * 129, None),  # longer than a tag can be
    ],
)
def test_versions(text: str, version: Version | None) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("new", "old", "change"),
    [
        ("2.0", "1.9", "a major update of"),
        ("1.5", "1.4.9", "a minor update of"),
        ("1.4.1", "1.4", "a patch update of"),
        ("1.2.3.5", "1.2.3.4", "higher than"),
        ("1.2.3-rc.2", "1.2.3-rc.1", "a later pre-release than"),
        ("1.2.3", "1.2.3-rc.1", "the release of"),
    ],
)
def test_what_a_change_is_called(new: str, old: str, change: str) -> None:
    versions = parse_version(new), parse_version(old)
    assert versions[0]
    assert versions[1]
    assert describe_change(*versions) == change  # type: ignore[arg-type]


def test_the_precedence_of_semver_org() -> None:
    ascending = "0-alpha 0-alpha.1 0-alpha.beta 0-beta 0-beta.2 0-beta.11 0-rc.1 0 1 1.1 1.1.1"
    versions = [parse_version(f"1.{one}") for one in ascending.split()]
    assert sorted(versions, key=lambda one: one.precedence if one else ()) == versions


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">=1.4 <2", "1.4 1.4.0 1.9.9 1.5.0-rc.1", "1.3.9 2.0.0 1.4.0-rc.1 2.0.0-rc.1"),
        (">1.4.2", "1.4.3 2.0.0", "1.4.2 1.4.2-rc.1"),
        ("<=1.4.2 >0", "1.4.2 1.0.0", "1.4.3 0.9.9"),
        ("=1.4.2", "1.4.2", "1.4.1 1.4.3"),
        ("^0", "0.0.1 0.9.9", "1.0.0"),
        ("^0.0", "0.0.9", "0.1.0"),
        ("^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0"),
        ("~0.1", "0.1.0 0.1.9", "0.2.0"),
        (">=1 <5 <3 >=2", "2.0.0 2.9.9", "1.9.9 3.0.0"),
    ],
)
def test_ranges(text: str, inside: str, outside: str) -> None:
    versions = parse_range(text)
    assert [tag for tag in inside.split() if parse_version(tag) not in versions] == []  # type: ignore[operator]
    assert [tag for tag in outside.split() if parse_version(tag) in versions] == []  # type: ignore[operator]
