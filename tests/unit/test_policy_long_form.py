"""The long form of a policy: what it says, the mistakes in it, its conditions, and the best tag of a list."""

from __future__ import annotations

from datetime import timedelta

import jsonschema_rs
import pytest
import yaml

from tests.unit.builders import at
from tests.unit.policy_table import policy_of
from worker.policies.choose import best_tag
from worker.policies.conditions import UNCONDITIONAL, Conditions, parse_age, parse_platform, spell_age
from worker.policies.extract import Extract
from worker.policies.keys import ByKey
from worker.policies.longform import LongForm
from worker.policies.parse import parse_policy
from worker.policies.patterns import Matcher, parse_matcher
from worker.policies.policy import AnyTag
from worker.policies.ranges import Range
from worker.policies.semver import SemVer
from worker.policies.spelling import is_closer, natural, shape
from worker.targets.file import TargetsError, json_schema, parse_targets

EVERYTHING = r"""{
  match: ["glob:1.*", 'regex:^v?\d'], exclude: ["glob:*-rc*", "1.5.3"],
  order: semver, within: minor, extract: '(?P<a>\d+)\.(?P<b>\d+)-r(?P<c>\d+)', pre_releases: True,
  platform: linux/amd64, min_age: 2h, start: true}"""


def test_every_part_of_it_is_in_the_policy() -> None:
    assert policy_of(EVERYTHING) == LongForm(
        order=SemVer("minor", pre_releases=True, extract=Extract(r"(?P<a>\d+)\.(?P<b>\d+)-r(?P<c>\d+)")),
        match=(Matcher("glob", "1.*"), Matcher("regex", r"^v?\d")),
        exclude=(Matcher("glob", "*-rc*"), Matcher("tag", "1.5.3")),
        start=True,
        conditions=Conditions("linux/amd64", timedelta(hours=2)),
    )


def test_what_is_left_out_is_any() -> None:
    assert policy_of("{}") == LongForm(AnyTag())
    assert policy_of("{}").conditions == UNCONDITIONAL


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("{order: pushed}", AnyTag()),
        ("{order: semver}", SemVer()),
        ("{order: semver, within: '>=1.4 <2'}", SemVer(Range(">=1.4 <2", (1, 4), (2,)))),
        ("{order: number}", ByKey("number")),
        ("{order: text, extract: '(.)-.*'}", ByKey("text", Extract("(.)-.*"))),
    ],
)
def test_orders(text: str, order: object) -> None:
    policy = policy_of(text)
    assert isinstance(policy, LongForm)
    assert policy.order == order


@pytest.mark.parametrize("policy", ["any", "same-tag", "semver:minor", "glob:*", "regex:.*", r"regex:(?P<version>\d+)"])
def test_the_short_forms_have_no_conditions(policy: str) -> None:
    assert parse_policy(policy).conditions == UNCONDITIONAL


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("{}", "{order: pushed}"),
        (
            EVERYTHING,
            r"{order: semver, within: minor, pre_releases: true, extract: (?P<a>\d+)\.(?P<b>\d+)-r(?P<c>\d+), "
            r"match: [glob:1.*, regex:^v?\d], exclude: [glob:*-rc*, 1.5.3], platform: linux/amd64, min_age: 2h, "
            "start: true}",
        ),
        ("{order: semver, within: ^1.4}", "{order: semver, within: ^1.4, pre_releases: false}"),
        ("{order: number}", "{order: number}"),
    ],
)
def test_people_see_it_in_one_line(text: str, spelling: str) -> None:
    assert str(policy_of(text)) == spelling


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("{ordr: semver}", "policy.ordr: unknown key; known here are order, match, exclude, within"),
        ("{order: semvar}", "policy.order: 'semvar' is not an order: semver, number, text, pushed; did you mean"),
        ("{order: zzz}", "'zzz' is not an order: semver, number, text, pushed"),
        ("{match: []}", "policy.match: must not be empty"),
        ("{match: 'glob:1.*'}", "policy.match: must be a list"),
        ("{match: ['1.*']}", "policy.match[0]: '1.*': neither a tag nor a pattern: a pattern is written glob:1.* or"),
        ("{match: ['1.*']}", "did you mean `glob:1.*`?"),
        ("{match: ['a b']}", "neither a tag nor a pattern"),
        ("{match: ['glob:v[12']}", "policy.match[0]: 'glob:v[12': a [ is never closed"),
        ("{exclude: [ok, 'regex:(']}", "policy.exclude[1]: 'regex:(': RE2 says: missing )"),
        ("{order: semver, within: minro}", "policy.within: 'minro': semver takes major, minor, patch or a range, and"),
        ("{within: minor}", "policy.within: requires an order of tags, for example order: semver"),
        ("{order: text, within: minor}", "policy.within: is only valid with order: semver"),
        ("{order: number, pre_releases: true}", "policy.pre_releases: is only valid with order: semver"),
        ("{pre_releases: true}", "policy.pre_releases: requires an order of tags, for example order: semver"),
        ("{order: semver, pre_releases: yes}", "policy.pre_releases: must be true or false"),
        (r"{extract: '(\d+)'}", "policy.extract: requires an order of tags, for example order: semver, number or"),
        ("{order: text, extract: '('}", "policy.extract: '(': RE2 says: missing )"),
        ("{start: true}", "policy.start: requires an order of tags"),
        ("{platform: amd64}", "policy.platform: 'amd64': a platform is written linux/amd64"),
        ("{min_age: 2 hours}", "policy.min_age: '2 hours': a time is written 45s, 30m, 2h, 1d or 1h30m"),
        ("{min_age: ''}", "a time is written 45s"),
    ],
)
def test_each_mistake_is_explained_at_its_place(policy: str, said: str) -> None:
    with pytest.raises(TargetsError) as caught:
        policy_of(policy)
    assert said in str(caught.value)


def test_a_list_is_neither_form() -> None:
    with pytest.raises(TargetsError, match=r"containers\.web\.policy: must be a string"):
        parse_targets("targets: [{container_group: a, resource_group: b, containers: {web: {policy: [any]}}}]", "s")


def test_a_mistake_in_one_part_is_not_told_of_another_one_too() -> None:
    with pytest.raises(TargetsError) as caught:
        policy_of("{order: semvar, within: minor, start: true}")
    assert [problem.where for problem in caught.value.problems] == ["targets[0].containers.web.policy.order"]


@pytest.mark.parametrize("policy", ["{order: number, pre_releases: false}", "{start: false}", "{pre_releases: FALSE}"])
def test_what_says_no_may_stand_anywhere(policy: str) -> None:
    assert policy_of(policy)


@pytest.mark.parametrize(
    ("policy", "valid"),
    [
        (EVERYTHING, True),
        ("{}", True),
        ("{order: semver, pre_releases: false, start: true}", True),
        ("{order: semvar}", False),
        ("{min_age: soon}", False),
        ("{match: []}", False),
    ],
)
@pytest.mark.parametrize("loader", [yaml.BaseLoader, yaml.SafeLoader])
def test_the_schema_knows_it_as_the_program_and_as_editors_read_it(policy: str, valid: bool, loader: type) -> None:
    file = f"targets: [{{container_group: a, resource_group: b, containers: {{web: {{policy: {policy}}}}}}}]"
    validator = jsonschema_rs.Draft202012Validator(json_schema())
    assert validator.is_valid(yaml.load(file, Loader=loader)) == valid


def test_it_stands_beside_the_short_forms() -> None:
    text = "targets: [{container_group: a, resource_group: b, containers: {web: {policy: {}}, api: {policy: any}}}]"
    rules = parse_targets(text, "s").targets[0].containers
    assert (rules["web"].policy, rules["api"].policy) == (LongForm(AnyTag()), AnyTag())


@pytest.mark.parametrize(
    ("matcher", "tag", "matches"),
    [
        ("glob:1.*", "1.4", True),
        ("glob:1.*", "v1.4", False),
        ("regex:1.4", "v1.4.2", True),
        ("regex:^1.4", "v1.4.2", False),
        ("1.4", "1.4", True),
        ("1.4", "1x4", False),
        ("regex:^(?:1|2)$", "2", True),
    ],
)
def test_a_glob_matches_the_whole_tag_and_a_regex_any_part_of_it(matcher: str, tag: str, *, matches: bool) -> None:
    assert parse_matcher(matcher).matches(tag) is matches


@pytest.mark.parametrize(
    ("pattern", "tag", "parts", "version"),
    [
        (r"(\d+)\.(\d+)-r(\d+)", "1.4-r7", ("1", "4", "7"), "1.4.7"),
        (r"(\d+)(?:-r(\d+))?", "1", ("1", None), "1"),
        (r"v\d+", "v1", ("v1",), "v1"),
        (r"(\d+\.\d+)(rc\d)-(\d)", "1.4rc2-3", ("1.4", "rc2", "3"), "1.4-rc2-3"),
        (r"(x?)", "", ("",), None),
        (r"v(\d+)", "1", None, None),
    ],
)
def test_extract(pattern: str, tag: str, parts: tuple[str | None, ...] | None, version: str | None) -> None:
    assert Extract(pattern).parts(tag) == parts
    assert Extract(pattern).version(tag) == version


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45), ("30m", 1800), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), ("0s", 0)]
)
def test_ages(text: str, seconds: int) -> None:
    assert parse_age(text) == timedelta(seconds=seconds)
    assert spell_age(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize("text", ["", "2", "h", "30m2h", "-1h", "1w", "1.5h", "99999d"])
def test_what_is_no_age(text: str) -> None:
    with pytest.raises(ValueError, match="a time is written"):
        parse_age(text)


@pytest.mark.parametrize(
    ("seconds", "why"),
    [
        (0, "pushed 0s ago, and min_age is 2m"),
        (119, "pushed 1m59s ago, and min_age is 2m"),
        (120, None),
        (-30, "pushed 0s ago, and min_age is 2m"),
    ],
)
def test_a_young_push_has_to_wait(seconds: float, why: str | None) -> None:
    assert Conditions(min_age=timedelta(minutes=2)).too_young(at(0), at(seconds)) == why


def test_without_a_condition_nothing_has_to_wait_and_every_platform_will_do() -> None:
    assert UNCONDITIONAL.too_young(at(0), at(0)) is None
    assert UNCONDITIONAL.not_built_for([]) is None


@pytest.mark.parametrize(
    ("wanted", "offered", "fits"),
    [
        ("linux/amd64", ["linux/amd64", "linux/arm64"], True),
        ("linux/amd64", ["linux/arm64"], False),
        ("linux/amd64", [], False),
        ("linux/arm64", ["linux/arm64/v8"], True),
        ("linux/arm/v7", ["linux/arm/v6"], False),
        ("linux/arm", ["linux/arm64"], False),
        ("windows/amd64", ["linux/amd64"], False),
        ("windows/amd64", ["linux/arm64", "linux/amd64"], False),
    ],
)
def test_an_image_is_built_for_a_platform_or_not(wanted: str, offered: list[str], *, fits: bool) -> None:
    problem = Conditions(platform=parse_platform(wanted)).not_built_for(offered)
    assert (problem is None) == fits
    if problem:
        assert problem == f"built for {', '.join(sorted(offered)) or 'no platform'}, and not for {wanted}"


@pytest.mark.parametrize(
    ("policy", "running", "listed", "best"),
    [
        ("semver:minor", "1.10.6", "1.10 1.10.6 1.11 1.11.0", "1.11.0"),
        ("semver:minor", "1.4.0", "1.4.0 1.4.1 1.5.0 2.0.0 2.1.0", "1.5.0"),
        ("semver", "3.5.0", "3.3.0 3.4.0", None),
        ("semver", "2", "2.0.20 latest 2.0.22 2 2-openssl", None),
        ("semver", "latest", "1.4.0 latest 1.5.0", None),
        ("semver:patch", "16.0-20230613", "16.0-20250807 17 16.0-20250909 16.0 19.0-20260817", "16.0-20250909"),
        ("semver", "1.4.2", "1.4.3_alpine3.19 1.4.3-r9 1.4.3-r10 1.4.3", "1.4.3-r10"),
        ("any", "1", "2 3", None),
        # Of equal ones the spelling of the running tag decides.
        ("semver", "20.04", "22.4 22.04", "22.04"),
        ("semver", "1.4.2_alpine", "1.4.3-alpine 1.4.3_alpine", "1.4.3_alpine"),
        # Of builds that only time tells apart, the last one by its spelling is the likeliest.
        (r"regex:(?P<version>.+)-x-r\d+", "3.4.6-x-r24", "3.4.7-x-r9 3.4.7-x-r10", "3.4.7-x-r10"),
        (r"regex:(?P<version>.+)-x-r\d+", "3.4.6-x-r24", "3.4.7-x-r8 3.4.7-x-r9", "3.4.7-x-r9"),
        (
            r"regex:(?P<version>.+)-x-r\d+",
            "3.4.6-x-r24",
            " ".join(f"3.4.7-x-r{number}" for number in range(40)),
            "3.4.7-x-r39",
        ),
        (r"regex:(?P<version>.+)-x-r\d+", "3.4.6-x-r24", "3.4.6-x-r25", None),
        (r"regex:(?P<version>[0-9.]+)-[xy]-r\d+", "3.4.6-x-r24", "3.4.7-x-r9 3.4.7-y-r10", "3.4.7-x-r9"),
        (r"regex:main-[0-9a-f]+-(?P<version>\d+)", "main-3e32dc8a-2", "main-845d3a80-100", "main-845d3a80-100"),
        ("{order: semver, start: true}", "latest", "1 1.4 1.4.2 v1.4.2 1.4.2-alpine 2026-01-01 latest", "1.4.2"),
        ("{order: semver, start: true}", "stable-alpine", "1.4.2 1.4.1-alpine", "1.4.1-alpine"),
        ("{order: number, start: true}", "latest", "9 10 latest", "10"),
        ("{order: number}", "latest", "9 10", None),
        ("{order: text}", "RELEASE.2021-05-11T01", "RELEASE.2021-05-11T23", "RELEASE.2021-05-11T23"),
    ],
)
def test_the_best_tag_of_a_list(policy: str, running: str, listed: str, best: str | None) -> None:
    tags = listed.split()
    for order in (tags, tags[::-1], sorted(tags)):
        assert best_tag(policy_of(policy), running, order) == best


def test_tags_are_sorted_as_people_do() -> None:
    assert sorted(["10", "x", "9", "1"], key=natural) == ["x", "1", "9", "10"]
    assert sorted(["r10", "r9", "r"], key=natural) == ["r", "r9", "r10"]


def test_the_shape_of_a_tag_keeps_the_leading_zeros_of_its_numbers() -> None:
    assert shape("24.04_alpine3") == "#.0#_alpine#"


def test_no_tag_is_spelt_more_like_another_one_than_itself() -> None:
    assert not is_closer("1.4", "1.5", "1.5")
    assert is_closer("1.4", "1.5", "1.5-x")
