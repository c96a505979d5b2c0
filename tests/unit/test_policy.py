"""Policies: the table of decisions, the order of tags, and the reading of policies from text."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

from tests.unit.policy_table import PAGE, Row, policy_of, read_table, render
from worker.policies.changes import describe_change
from worker.policies.compile import LONGEST_PATTERN, compile_glob, compile_regex
from worker.policies.parse import (
    LONGEST_POLICY,
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
from worker.policies.policy import shown
from worker.policies.ranges import Range, parse_range
from worker.policies.version_grammar import parse_version
from worker.policies.versions import Version

TABLE = read_table()


@pytest.mark.parametrize("row", TABLE, ids=[f"{row.policy} {row.running} {row.pushed[:20]!r}" for row in TABLE])
def test_decision_and_reason(row: Row) -> None:
    assert policy_of(row.policy).decide(row.running, row.pushed) == row.decision


def test_the_table_is_large_and_says_nothing_twice() -> None:
    assert len(TABLE) >= 400
    questions = [(row.policy, row.running, row.pushed) for row in TABLE]
    assert len(set(questions)) == len(questions)


def test_the_docs_show_the_table_as_it_is() -> None:
    page = PAGE.read_text()
    assert render(page) == page, "run: python -m tests.unit.policy_table"


@pytest.mark.parametrize("policy", ["any", "same-tag", "glob:*", r"regex:v\d+"])
def test_policies_without_an_order_leave_it_to_time(policy: str) -> None:
    assert not parse_policy(policy).ordered
    assert parse_policy(policy).outranks("v2", "v1") is None
    assert parse_policy(policy).places("latest")


@pytest.mark.parametrize(
    "policy", ["semver", r"regex:v(?P<version>\d+)", "{order: number, extract: 'v(.*)'}", "{order: semver}"]
)
def test_versions_and_numbers_have_an_order_and_not_every_tag_a_place_in_it(policy: str) -> None:
    assert policy_of(policy).ordered
    assert policy_of(policy).places("v2")
    assert not policy_of(policy).places("latest")


@pytest.mark.parametrize(
    ("policy", "pushed", "wanted", "expected"),
    [
        ("semver", "1.5.0", "1.4.2", True),
        ("semver", "1.10.0", "1.9.0", True),
        ("semver", "1.4.2", "1.5.0", False),
        ("semver", "1.4.2", "1.4.2", None),
        ("semver", "latest", "1.4.2", False),
        ("semver", "1.4.2", "latest", None),
        ("semver", "latest", "latest", None),
        ("semver", "1.5.0-rc.1", "1.4.2", True),
        ("semver", "1.5.0-rc.1", "1.5.0", False),
        ("semver", "1.5.0-r10", "1.5.0-r9", True),
        ("semver", "1.5.0_2", "1.5.0_1", True),
        ("semver", "22.4", "22.04", False),
        ("semver", "22.04", "22.4", False),
        # Of two lines neither is higher: the precision, the spelling, the variant.
        ("semver", "1.5", "1.4.2", False),
        ("semver", "1.4.2", "1.5", False),
        ("semver", "v1.5.0", "1.4.2", False),
        ("semver", "1.5.0-alpine", "1.4.2", False),
        ("semver", "1.5.0-alpine", "1.4.2-alpine", True),
        (r"regex:b.(?P<version>\d+)", "b 9", "b-8", False),
        ("semver", "17.0.10_1", "17.0.9", False),
        (r"regex:b-(?P<version>\d+)", "b-10", "b-9", True),
        (r"regex:b-(?P<version>\d+)", "b-9", "b-10", False),
        (r"regex:b-(?P<version>\d+)", "b-9", "b-9", None),
        (r"regex:b-(?P<version>\d+)", "b-9", "main", None),
        (r"regex:b-(?P<version>\d+)-.*", "b-9-x", "b-9-y", None),
        (r"regex:b-(?P<version>\d+)", "main", "b-9", False),
        (r"regex:b-(?P<version>\d+)", "b 9", "b-9", False),
        ("{order: number}", "10", "9", True),
        ("{order: number}", "9", "10", False),
        ("{order: number}", "9", "09", None),
        ("{order: number}", "main", "9", False),
        ("{order: number}", "9", "main", None),
        ("{order: pushed}", "10", "9", None),
        ("{order: semver}", "10", "9", True),
        ("{order: number, start: true}", "9", "main", True),
        ("{order: number, start: true}", "dev", "main", False),
        ("{order: number, start: true}", "9", "10", False),
        # Numbers come before texts.
        (r"{order: number, extract: '(\d+)-(\w+)'}", "1-a", "1-2", True),
        (r"{order: number, extract: '(\d+)-(\w+)'}", "1-2", "1-a", False),
    ],
)
def test_outranks(policy: str, pushed: str, wanted: str, expected: bool | None) -> None:
    assert policy_of(policy).outranks(pushed, wanted) is expected


@pytest.mark.parametrize(
    ("policy", "running", "better", "other"),
    [
        ("semver", "1.4.2", "1.6.0", "1.5.0"),
        ("semver", "20.04", "22.04", "22.4"),
        ("semver", "20.4", "22.4", "22.04"),
        ("semver", "1.4.2_alpine", "1.4.3_alpine", "1.4.3-alpine"),
        ("semver", "1.4.2-alpine", "1.4.3-alpine", "1.4.3_alpine"),
        ("semver", None, "1.4.3+b1", "1.4.3+b2"),
        ("{order: number}", "08", "09", "9"),
        ("{order: number}", "8", "9", "09"),
        ("{order: number}", "8", "10", "9"),
        # What may start a container can be of several lines.
        ("{order: semver, start: true}", "latest", "1.5.0", "1.4.2"),
        ("{order: semver, start: true}", "latest", "1.5.1", "1.5"),
        ("{order: semver, start: true}", "latest", "2.0.0", "v1.9.0"),
        ("{order: semver, start: true}", "latest", "1.5.0", "v1.5.0"),
        ("{order: semver, start: true}", "alpine", "1.4.2-alpine", "1.5.0"),
        ("{order: semver, start: true}", "alpine", "1.5.0-alpine", "1.4.2-alpine"),
        ("{order: semver, start: true}", "latest-debian-slim", "1.4.2-debian-slim", "1.5.0"),
        # Only a tag without a version can mean a variant, and with a pattern nobody has to guess.
        ("semver", "1.4.2-x", "1.6.0", "1.5.0-1.4.2-x"),
        ("{order: semver, start: true, extract: 'b-(.*)'}", "latest-alpine", "b-1.5.0", "b-1.4.2-alpine"),
        (r"regex:b-(?P<version>\d+)", "b-8", "b-10", "b-9"),
    ],
)
def test_of_two_admitted_tags_one_is_preferred_whichever_comes_first(
    policy: str, running: str | None, better: str, other: str
) -> None:
    assert policy_of(policy).prefers(running, better, other) is True
    assert policy_of(policy).prefers(running, other, better) is False


@pytest.mark.parametrize(
    ("policy", "one", "other"),
    [
        ("any", "2", "1"),
        ("glob:*", "2", "1"),
        ("regex:.*", "2", "1"),
        ("{order: pushed}", "2", "1"),
        (r"regex:b-(?P<version>\d+)-.*", "b-9-x", "b-9-y"),
        (r"{order: semver, extract: 'b-(\d+)-.*'}", "b-9-x", "b-9-y"),
        (r"{order: number, extract: 'b-(\d+)-.*'}", "b-9-x", "b-9-y"),
        ("semver", "1.4.2", "1.4.2"),
        ("semver", "latest", "1.4.2"),
        ("semver", "1.4.2", "latest"),
        ("{order: number}", "9", "9"),
    ],
)
def test_where_the_policy_has_no_preference_time_decides(policy: str, one: str, other: str) -> None:
    assert policy_of(policy).prefers(None, one, other) is None


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
        (r"regex:(?P<build>\d+)", Regex(r"(?P<build>\d+)"), r"regex:(?P<build>\d+)"),
        ("any".ljust(LONGEST_POLICY), AnyTag(), "any"),
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
        ("same-tag:x", "write any, same-tag", "same-tag"),
        ("minro", "write any, same-tag", "semver:minor"),
        ("Regex:minor", "write any, same-tag", "regex:minor"),
        ("semver:1:minor", "'1:minor' is not a comparator", "semver:minor"),
        ("smever:patch", "write any, same-tag", "semver:patch"),
        ("minor", "write any, same-tag", "semver:minor"),
        ("^1.4", "write any, same-tag", "semver:^1.4"),
        ("1.4", "write any, same-tag", "semver:~1.4"),
        ("regexp:v.*", "write any, same-tag", "regex:v.*"),
        ("semver:", "semver takes major, minor, patch or a range, and no range is given after the colon", "semver"),
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
        ("glob:{a,b}", "no tag contains '{'; alternatives such as a or b are written regex:(a|b)", None),
        ("glob:v1.*,v2.*", "no tag contains ','", None),
        ("glob: v1*", "no tag contains ' '", None),
        ("glob:[[:alpha:]]*", "no tag contains '['", None),
        ("glob:[!*]", "no tag contains '*'", None),
        ("glob:[^a]*", "write [!abc] for any character except these", None),
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
        ("any\n", "printable ASCII", "any"),
        ("any" + " " * LONGEST_POLICY, "at most", NONE),
        ("Regex:" + "a" * 512, "write any, same-tag", "regex:" + "a" * 512),
        # Regression: the pattern was suggested, but cut.
        ("Glob:" + "a" * 600, "at most", NONE),
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


def test_the_message_is_whole_and_shows_no_more_than_the_beginning_of_the_text() -> None:
    with pytest.raises(InvalidPolicy) as caught:
        parse_policy("?" * 100)
    forms = "any, same-tag, semver, semver:<bound>, glob:<pattern> or regex:<pattern>"
    assert str(caught.value) == f"'{'?' * 80}' is not a policy: write {forms}"
    with pytest.raises(InvalidPolicy) as caught:
        parse_policy("é")
    assert caught.value.problem == f"tags are printable ASCII, and a policy has at most {LONGEST_POLICY} characters"


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("glob:", "the pattern is missing"),
        ("regex:" + "é" * 2, f"tags are printable ASCII, and a policy has at most {LONGEST_POLICY} characters"),
        ("glob:v[12", "a [ is never closed"),
        ("glob:[^a]*", "write [!abc] for any character except these"),
        ("semver:", "semver takes major, minor, patch or a range, and no range is given after the colon"),
        ("regex:a**", "RE2 says: bad repetition operator: **"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_else(text: str, whole: str) -> None:
    with pytest.raises(InvalidPolicy) as caught:
        parse_policy(text)
    assert caught.value.problem == whole


@pytest.mark.parametrize(
    ("pattern", "tags", "others"),
    [
        ("v[12].*", "v1.0 v2.0", "v3.0 v[12].0"),
        ("v[!12].*", "v3.0 vx.0", "v1.0 v2.0 v.0"),
        ("v[a-c]", "va vc", "vd v-"),
        ("v?", "v1 v.", "v v12"),
        ("1.4*", "1.4 1.4.2", "114 11.4"),
        ("1.4+b", "1.4+b", "1.444b"),
    ],
)
def test_what_a_glob_matches(pattern: str, tags: str, others: str) -> None:
    glob = compile_glob(pattern)
    assert [tag for tag in tags.split() if not glob.fullmatch(tag)] == []
    assert [tag for tag in others.split() if glob.fullmatch(tag)] == []


@pytest.mark.parametrize("make", [compile_glob, compile_regex])
def test_a_pattern_has_a_length_and_a_script(make: Callable[[str], object]) -> None:
    make("a" * LONGEST_PATTERN)
    for pattern in ("a" * (LONGEST_PATTERN + 1), "é"):
        with pytest.raises(ValueError, match=r"^tags are ASCII, and a pattern has at most 512 characters$"):
            make(pattern)


def test_a_pattern_that_takes_too_much_memory_is_refused_and_stderr_stays_clean(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ValueError, match="RE2 says"):
        compile_regex("((((a{9}){9}){9}){9}){5}")
    assert capfd.readouterr().err == ""


def test_a_text_that_is_not_a_tag_is_quoted_and_cut() -> None:
    assert shown("1.4.2") == "1.4.2"
    assert shown("x y" + "z" * 100) == f"'x y{'z' * 77}'"


def test_the_error_is_the_same_after_its_way_through_another_process() -> None:
    error = InvalidPolicy("minro", "it is none", "minor")
    copied = pickle.loads(pickle.dumps(error))
    assert (copied.text, copied.problem, copied.suggestion) == ("minro", "it is none", "minor")
    assert repr(copied) == "InvalidPolicy('minro', 'it is none', 'minor')"


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
    for policy in ("any", "same-tag", "semver", "glob:*", "regex:(.*)*", "{order: number}", "{order: text}"):
        assert isinstance(policy_of(policy).decide(tag, "1"), Skip | Update)
        decision = policy_of(policy).decide(tag, tag)
        assert isinstance(decision, Skip)
        assert len(decision.reason) < 300


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.4.2", Version((1, 4, 2))),
        ("V1.4", Version((1, 4), has_v=True)),
        ("1.5.0-rc.1", Version((1, 5, 0), ("rc", "1"))),
        ("1.5.0-RC1-slim-bookworm", Version((1, 5, 0), ("RC", "1"), "slim-bookworm")),
        ("1.5.0-M2", Version((1, 5, 0), ("M", "2"))),
        ("3.14.0b2", Version((3, 14, 0), ("b", "2"))),
        ("3.14.0-b2", Version((3, 14, 0), revision=(2,))),
        ("1.5.0-beta-alpine3.19", Version((1, 5, 0), ("beta",), "alpine3.19")),
        ("1.5.0-dev-20260101", Version((1, 5, 0), ("dev", "20260101"))),
        ("1.5.0rc1-2-slim", Version((1, 5, 0), ("rc", "1", "2"), "slim")),
        ("1.5.0-debian-12", Version((1, 5, 0), variant="debian-12")),
        ("1.5.0-debian-12-r3", Version((1, 5, 0), variant="debian-12", revision=(3,))),
        ("1.5.0-alpine-3.19", Version((1, 5, 0), variant="alpine-3.19")),
        ("1.5.0-debian-20230512", Version((1, 5, 0), variant="debian", revision=(20230512,))),
        ("1.5.0-slim-7", Version((1, 5, 0), variant="slim", revision=(7,))),
        ("1.5.0-amazoncorretto-17", Version((1, 5, 0), variant="amazoncorretto-17")),
        ("1.5.0-slim-amazoncorretto-17", Version((1, 5, 0), variant="slim-amazoncorretto-17")),
        ("1.5.0-otp25.3-1", Version((1, 5, 0), variant="otp25.3", revision=(1,))),
        ("1.5.0-alpine3-1", Version((1, 5, 0), variant="alpine3", revision=(1,))),
        ("1.5.0-nanoserver-1809", Version((1, 5, 0), variant="nanoserver-1809")),
        ("1.5.0-main-45211", Version((1, 5, 0), variant="main", revision=(45211,))),
        ("1.5.0-build-7", Version((1, 5, 0), variant="build", revision=(7,))),
        ("1.5.0-7-slim", Version((1, 5, 0), variant="7-slim")),
        ("1.5.0-7-8", Version((1, 5, 0), variant="7", revision=(8,))),
        ("1.5.0-7.1", Version((1, 5, 0), revision=(7, 1))),
        ("1.5.0-2023-05-12", Version((1, 5, 0), revision=(2023, 5, 12))),
        ("1.5.0-2023-05-12-1330", Version((1, 5, 0), revision=(2023, 5, 12, 1330))),
        ("1.5.0-2023-05", Version((1, 5, 0), variant="2023", revision=(5,))),
        ("1.5.0-7-05-12", Version((1, 5, 0), variant="7-05", revision=(12,))),
        ("1.5.0-20230512-slim", Version((1, 5, 0), variant="20230512-slim")),
        ("1.5.0-2023-5-12", Version((1, 5, 0), variant="2023-5", revision=(12,))),
        ("1.5.0-20230512-1330", Version((1, 5, 0), revision=(20230512, 1330))),
        ("1.5.0-build.7", Version((1, 5, 0), revision=(7,))),
        ("1.5.0-x86_64", Version((1, 5, 0), variant="x86-64")),
        ("1.5.0_alpine", Version((1, 5, 0), variant="alpine")),
        ("17.0.9_9-jre", Version((17, 0, 9), variant="jre", build=(9,))),
        ("17.0.9_9a", Version((17, 0, 9), variant="9a")),
        ("2026-01-31", Version((2026, 1, 31), is_dashed=True)),
        ("2026-13", Version((2026,), revision=(13,))),
        ("2026-01-15T10", Version((2026, 1), variant="15T10", is_dashed=True)),
        ("1.5.0-0.3.7+b.1", Version((1, 5, 0), revision=(0, 3, 7))),
        ("1.5.0-abcdef1_b1", Version((1, 5, 0), variant="abcdef1", revision=(1,))),
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
    parsed = parse_version(text)
    assert parsed == version
    assert parsed is None or str(parsed) == text


@pytest.mark.parametrize(
    ("new", "old", "change"),
    [
        ("2.0", "1.9", "a major update of"),
        ("1.5", "1.4.9", "a minor update of"),
        ("1.4.1", "1.4", "a patch update of"),
        ("1.2.3.5", "1.2.3.4", "higher than"),
        ("1.2.3-rc.2", "1.2.3-rc.1", "a later pre-release than"),
        ("1.2.3", "1.2.3-rc.1", "the release of"),
        ("1.2.3_2", "1.2.3_1", "a later build than"),
        ("1.2.3-2", "1.2.3-1", "a later revision than"),
    ],
)
def test_what_a_change_is_called(new: str, old: str, change: str) -> None:
    versions = parse_version(new), parse_version(old)
    assert versions[0]
    assert versions[1]
    assert describe_change(versions[0], versions[1]) == change


def test_the_precedence_of_semver_org() -> None:
    ascending = "0.0-alpha 0.0-alpha.1 0.0-alpha.beta 0.0-beta 0.0-beta.2 0.0-beta.11 0.0-rc.1 0.0 0.1 1.0"
    versions = [parse_version(f"1.{item}") for item in ascending.split()]
    assert sorted(versions, key=lambda version: version.precedence if version else ()) == versions


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">=1.4 <2", "1.4 1.4.0 1.9.9 1.5.0-rc.1 1.9", "1 1.3.9 2.0.0 1.4.0-rc.1 2.0.0-rc.1"),
        ("<1.9.5", "1.9.4 1.8 1.9.4.7 0", "1 1.9 1.9.5"),
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
def test_a_range_contains_exactly_these_versions(text: str, inside: str, outside: str) -> None:
    versions = parse_range(text)
    assert [tag for tag in inside.split() if parse_version(tag) not in versions] == []  # type: ignore[operator]
    assert [tag for tag in outside.split() if parse_version(tag) in versions] == []  # type: ignore[operator]
