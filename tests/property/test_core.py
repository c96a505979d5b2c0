"""What holds for the worker's core whatever it is given: total functions, round trips, and nothing that repeats."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from shared.errors import RemoteError
from shared.image import ImageReference, InvalidImage, rewrite
from shared.message import Undecodable, decode, decode_letter
from tests.unit.builders import RULES, SHOP, at, container, digest, failure, good, group, message, record, wanted
from tests.unit.test_group import RICH, differences
from worker.admission import admit
from worker.failures.classify import Permanent, Retry, Transient, classify
from worker.groups.group import ContainerGroup
from worker.groups.health import Broken, Healthy, Pending, container_health
from worker.groups.withheld import missing_secrets
from worker.manual import hold
from worker.policies.parse import parse_policy
from worker.record import Record
from worker.record_parts import ContainerRecord
from worker.rollout import next_step
from worker.steps import Apply, Finish, GiveUp, RollBack, Wait
from worker.targets.target import ContainerRule, Target

tags = st.sampled_from(["1", "2", "1.4", "1.5.0", "latest"])
seconds = st.integers(-100, 2000)
digests = st.none() | st.sampled_from([digest("one"), digest("two")])
codes = st.sampled_from(
    ["TooManyRequests", "InaccessibleImage", "MultipleErrorsOccurred", "ContainerGroupQuotaReached", "Http404", "x"]
)
errors = st.builds(
    RemoteError,
    st.just("arm"),
    st.none() | st.integers(200, 599),
    codes | st.text(),
    codes | st.text(),
    st.none() | st.floats(0, 1e6),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def messages(draw: st.DrawFn) -> Any:
    """A push of few tags and digests, early or late, tried before or not."""
    tag, number = draw(tags), draw(st.integers(1, 3))
    pushed_at = draw(st.sampled_from([None, at(0), at(5), at(9)]))
    return message(
        tag,
        name=f"{tag}-{number}",
        pushed=draw(seconds),
        attempts=draw(st.integers(0, 3)),
        digest=draw(digests),
        pushed_at=pushed_at,
    )


@st.composite
def containers(draw: st.DrawFn) -> ContainerRecord:
    """What may be known of a container."""
    began = st.none() | seconds
    status = st.sampled_from(["open", "done", "failed"])
    now = st.builds(lambda of, began, status: wanted(of, began=began, status=status), messages(), began, status)
    return container(
        draw(st.none() | now),
        goods=tuple(draw(st.lists(st.builds(lambda tag, of: good(tag, digest=of), tags, digests), max_size=2))),
        failures=tuple(draw(st.lists(st.builds(failure, messages()), max_size=2))),
        runners_up=tuple(draw(st.lists(st.builds(wanted, messages()), max_size=2))),
    )


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A record of two containers, with a change under way or a hold perhaps."""
    now = record({"web": draw(containers()), "blue": draw(containers())})
    if draw(st.booleans()):
        begun = next_step(now, group(IMAGES), draw(messages()), RULES, at(draw(seconds)))
        now = begun.record
    return hold(now, "audit", at(0)) if draw(st.booleans()) else now


IMAGES = {"web": "acme/shop:1", "blue": "acme/shop:latest"}
times = seconds.map(lambda after: at(after).isoformat())
events = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(["Pulled", "Failed", "BackOff"]),
            "type": st.sampled_from(["Warning", "Normal"]),
            "message": st.sampled_from(["Failed to pull image", f"pulled acme/shop@{digest('two')}", ""]),
            "lastTimestamp": times | st.text(max_size=3),
        },
    ),
    max_size=3,
)
states = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from(["Running", "Waiting", "Terminated", "Odd"]),
        "startTime": times,
        "finishTime": times | st.none(),
        "exitCode": st.none() | st.sampled_from([0, 1, 7147]),
        "detailStatus": st.sampled_from(["", "CrashLoopBackOff: Back-off 10s", "Error"]),
    },
)
views = st.fixed_dictionaries(
    {},
    optional={"currentState": states, "previousState": states | st.none(), "events": events, "restartCount": seconds},
)
groups = st.builds(
    lambda web, blue, shown, state, stopped, policy: group(
        {"web": web, "blue": blue},
        {"web": shown[0], "blue": shown[1]},
        state=state,
        shown=stopped,
        restartPolicy=policy,
    ),
    st.sampled_from(["acme/shop:1", "acme/shop:2", "not an image!", f"acme/shop@{digest('two')}"]),
    st.sampled_from(["acme/shop:latest", "acme/other:1"]),
    st.tuples(views, views),
    st.sampled_from(["Succeeded", "Failed", "Updating", "Odd"]),
    st.sampled_from(["Running", "Stopped"]),
    st.sampled_from(["Always", "OnFailure", "Never"]),
)
policies = st.sampled_from(["any", "same-tag", "semver", "glob:1*"]).map(
    lambda text: Target(SHOP, everything=parse_policy(text))
)


@given(errors | st.builds(ValueError, st.text()) | st.builds(KeyboardInterrupt), st.integers(0, 99), st.integers())
def test_every_error_is_tried_again_in_time_or_given_up(error: BaseException, attempts: int, seed: int) -> None:
    retry = Retry(max_attempts=8, base=5, longest=600)
    result = classify(error)
    if isinstance(result, Permanent):
        assert retry.is_over(result, attempts)
        return
    assert isinstance(result, Transient)
    delay = retry.delay(result, attempts, random.Random(seed))
    assert (result.retry_after or 0) <= delay <= (result.retry_after or 599) + 1
    assert retry.is_over(result, 8) or not result.counts


@given(records(), groups, messages(), seconds)
def test_next_step_is_total_and_keeps_the_messages_promise(
    now: Record, shown: ContainerGroup, of: Any, after: int
) -> None:
    step = next_step(now, shown, of, RULES, at(after))
    assert isinstance(step, Apply | RollBack | Wait | Finish | GiveUp)
    assert Record.model_validate_json(step.record.model_dump_json(exclude_none=True)) == step.record
    match step:
        case Apply() | RollBack():
            assert step.record.rollout is not None
            assert step.record.rollout.by == of.id
            assert step.record.rollout.returning <= step.record.rollout.images.keys()
        case Wait(_, delay, reason):
            assert timedelta(0) < delay <= timedelta(seconds=60)
            assert reason
        case GiveUp(_, code, detail, _):
            assert code
            assert detail


@given(records(), groups, messages(), seconds)
def test_what_a_push_leaves_behind_is_wanted_by_another_one(
    now: Record, shown: ContainerGroup, of: Any, after: int
) -> None:
    """A message that ends owns nothing that is still to be done, but for a hold that is to be released."""
    step = next_step(now, shown, of, RULES, at(after))
    if isinstance(step, GiveUp) or (isinstance(step, Finish) and step.result != "held"):
        assert not [one for one in step.record.owned_by(of.id).values() if one.is_open and one.began_at]


@given(records(), groups, messages(), policies, digests, seconds)
def test_admitting_a_push_again_changes_nothing(
    now: Record, shown: ContainerGroup, of: Any, target: Target, known: str | None, after: int
) -> None:
    once = admit(now, shown, of, target, known, at(after))
    again = admit(once.record, shown, of, target, known, at(after + 1))
    assert again.record == once.record
    assert [one.container for one in once.rulings] == [one.container for one in again.rulings]
    for ruling in once.rulings:
        chosen = once.record.containers[ruling.container].wanted
        assert ruling.reason
        assert (ruling.verdict == "wanted") <= (chosen is not None and chosen.message.id == of.id)


@given(records(), groups, messages(), policies, digests)
def test_a_skip_changes_nothing(now: Record, shown: ContainerGroup, of: Any, target: Target, known: str | None) -> None:
    result = admit(now, shown, of, target, known, at(0))
    for ruling in result.rulings:
        before, after = now.containers.get(ruling.container), result.record.containers[ruling.container]
        if ruling.verdict != "ignored":
            continue
        if before is None or before.repository != after.repository:
            assert (after.wanted, after.runners_up, after.failures) == (None, (), ())  # it is only known now
        else:
            assert after.but(runners_up=before.runners_up) == before
    kept = ("rollout", "hold", "outcomes") if all(one.verdict == "ignored" for one in result.rulings) else ()
    assert [getattr(result.record, name) for name in kept] == [getattr(now, name) for name in kept]


@given(st.lists(messages(), min_size=1, max_size=6, unique_by=lambda one: one.id), st.randoms())
def test_in_whatever_order_pushes_come_the_newest_is_wanted(pushes: list[Any], chance: random.Random) -> None:
    pushes = [one.model_copy(update={"push": one.push.model_copy(update={"digest": None})}) for one in pushes]
    assume(len({one.order for one in pushes}) == len(pushes))
    chance.shuffle(pushes)
    now = record()
    target = Target(SHOP, {"web": ContainerRule(parse_policy("any"))})
    for one in pushes:
        now = admit(now, group(), one, target, None, at(0)).record
    newest = max(pushes, key=lambda one: one.order)
    result = now.containers["web"].wanted
    assert result is not None
    assert result.message.id == newest.id


@given(views, events, st.sampled_from(["Always", "OnFailure", "Never", "Odd"]), seconds)
def test_a_container_is_always_judged(view: Any, group_events: Any, policy: str, since: int) -> None:
    result = container_health(view, group_events, policy, at(since))
    assert isinstance(result, Healthy | Pending | Broken)
    if isinstance(result, Healthy):
        assert result.since >= at(since)


@given(st.dictionaries(st.text(), json_values, max_size=3), json_values)
def test_what_azure_may_add_one_day_goes_out_as_it_came(added: dict[str, Any], deep: Any) -> None:
    raw = json.loads(json.dumps(RICH))
    raw["properties"]["containers"][0]["properties"]["added"] = deep
    raw["properties"] = {**{f"added-{key}": value for key, value in added.items()}, **raw["properties"]}
    body = json.loads(ContainerGroup(raw).definition({"web": "acme/shop:2"}, {}))
    changed = [path for path, _, after in differences(raw, body) if after is not ...]
    assert changed == ["properties.containers.0.properties.image"]


paths = st.sampled_from(["env/web/A", "registry/r.io", "volume/v/secret/<file>", "volume/v/storage-account-key"])


@given(st.lists(paths, unique=True), st.lists(paths | st.just("volume/v/secret/tls.pem") | st.text(), unique=True))
def test_configuring_more_never_makes_a_secret_missing(withheld: list[str], configured: list[str]) -> None:
    missing = missing_secrets(withheld, configured)
    assert set(missing) <= set(withheld) - set(configured)
    assert set(missing_secrets(withheld, [*configured, "env/web/A"])) <= set(missing)


@given(st.text() | st.binary().map(lambda some: some.decode("latin-1")))
def test_no_text_on_the_queue_is_anything_but_a_message_or_undecodable(text: str) -> None:
    for read in (decode, decode_letter):
        with suppress(Undecodable):
            read(text)


names = st.sampled_from(["shop", "acme/shop", "ghcr.io/acme/shop", "localhost:5000/shop", "Index.Docker.io/shop"])


@given(names, st.none() | tags, digests, tags)
def test_a_reference_survives_being_written_and_another_tag_keeps_its_name(
    name: str, tag: str | None, of: str | None, other: str
) -> None:
    written = name + (f":{tag}" if tag else "") + (f"@{of}" if of else "")
    parsed = ImageReference.parse(written)
    assert ImageReference.parse(str(parsed)) == parsed
    assert rewrite(written, tag=other) == f"{name}:{other}"
    assert ImageReference.parse(rewrite(written, tag=other)).name == parsed.name


@given(st.text() | st.text("abc./:@-_A5", max_size=20))
def test_any_text_is_a_reference_or_an_invalid_one(text: str) -> None:
    with suppress(InvalidImage):
        parsed = ImageReference.parse(text)
        assert ImageReference.parse(str(parsed)) == parsed


@given(messages(), messages())
def test_of_two_pushes_one_is_newer_or_they_came_at_one_time(one: Any, other: Any) -> None:
    assert (one.order > other.order) + (other.order > one.order) + (one.order == other.order) == 1
    assert all(isinstance(part, datetime) for part in one.order)
