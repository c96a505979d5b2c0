"""One look as a pure function: admit, ask the registry, reconcile."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.builders import (
    RULES,
    TWO,
    at,
    candidate,
    change,
    container,
    digest,
    ends,
    good,
    group,
    message,
    queued,
    record,
    running,
    target,
)
from worker.core.admit import Ruling
from worker.core.desired import Desired
from worker.core.failing import Failed
from worker.core.following import Following
from worker.core.look import Absence, Situation
from worker.core.plan import Plan, PlannedImage
from worker.core.rules import Put, Rest
from worker.policies.policy import AnyTag
from worker.record.lookups import Found
from worker.record.record import Record

SECOND = digest("second")
NOW = at(60)


def situation(now: Record, **shown: Any) -> Situation:
    return Situation(now, group(**shown), target(), RULES, NOW)


def test_a_received_push_is_admitted_resolved_and_put() -> None:
    looked = situation(record(inbox=(TWO,)))
    admitted = looked.admitted()
    assert admitted == record({"web": container(candidate(TWO, None))})
    assert looked.to_look_up(admitted) == TWO
    resolved = looked.looked_up(admitted, TWO, SECOND)
    assert resolved == record({"web": container(candidate(TWO, digest=SECOND))})
    assert looked.to_look_up(resolved) is None
    after, action = looked.reconciled(resolved)
    assert action == Put({"web": "acme/shop:2"}, restart=False)
    assert after.change is not None
    assert (after.change.asked, after.change.began_at) == ({"web": "2"}, NOW)


def test_a_group_that_runs_its_desired_images_rests() -> None:
    looked = situation(record({"web": container()}))
    assert looked.reconciled(looked.admitted()) == (record({"web": container()}), Rest())


def test_without_an_answer_from_the_registry_a_push_is_put_by_its_tag() -> None:
    now = record({"web": container(candidate(TWO, None))})
    assert situation(now).looked_up(now, TWO, None) == record({"web": container(candidate(TWO))})


def test_what_is_not_an_image_ends_as_ignored() -> None:
    now = record({"web": container(candidate(TWO, None))})
    chart = Found(SECOND, artifact="its config is a chart's")
    ((push_id, result, detail),) = ends(situation(now).looked_up(now, TWO, chart))
    assert (push_id, result) == ("2", "ignored")
    assert "its config is a chart's" in detail


def test_an_image_that_does_not_exist_is_looked_up_again() -> None:
    now = record({"web": container(candidate(TWO, None))})
    absence, looked = Absence("ManifestUnknown", "no such image"), situation(now)
    for lookups in (1, 2):
        looked_up_at = NOW - timedelta(seconds=15 - 5 * lookups)
        now = replace(looked, now=looked_up_at).looked_up(now, TWO, absence)
        assert now.containers["web"].candidates == (candidate(TWO, None, lookups=lookups, looked_up_at=looked_up_at),)
    now = looked.looked_up(now, TWO, absence)
    assert ends(now) == [("2", "failed", "no such image")]
    assert (now.outbox[0].code, now.outbox[0].at) == ("ManifestUnknown", NOW)


@pytest.mark.parametrize("told", [None, SECOND])
def test_an_image_that_did_not_exist_is_not_put_while_its_registry_gives_no_answer(told: str | None) -> None:
    now = record({"web": container(candidate(TWO, None, lookups=2, looked_up_at=NOW - timedelta(seconds=5)))})
    why = "docker.io/acme/shop:2 did not exist in its registry, which gives no answer now"
    assert ends(situation(now).looked_up(now, TWO, told)) == [("2", "failed", why)]
    # The registry itself may have got the image meanwhile.
    assert situation(now).looked_up(now, TWO, Found(SECOND)).containers["web"].candidates[0].image is not None


@pytest.mark.parametrize("state", ["Updating", "Succeeded"])
@pytest.mark.parametrize("known", [True, False])
def test_a_new_container_is_not_recorded_during_a_transition(state: str, known: bool) -> None:
    now = record({"web": container()} if known else {}, inbox=(TWO,))
    admitted = situation(now, state=state).admitted()
    if state == "Updating" and not known:
        assert admitted == now
    else:
        assert (admitted.inbox, queued(admitted)) == ((), ["2"])


def test_a_container_that_is_gone_does_not_block_admission_during_a_transition() -> None:
    now = record({"web": container(), "gone": container()}, inbox=(TWO,))
    assert queued(situation(now, state="Updating").admitted()) == ["2"]


def test_the_registry_is_asked_although_a_container_is_new_during_a_transition() -> None:
    now = record({"web": container(candidate(TWO, None))})
    looked = Situation(
        now,
        group({"web": "acme/shop:1", "new": "acme/shop:1"}, state="Updating"),
        target("any", "web", "new"),
        RULES,
        NOW,
    )
    admitted = looked.admitted()
    assert looked.to_look_up(admitted) == TWO
    assert looked.looked_up(admitted, TWO, SECOND) == record({"web": container(candidate(TWO, digest=SECOND))})


def test_the_rules_are_those_of_the_target_at_hand() -> None:
    shown = group({"web": "acme/shop:1.4"})
    looked = Situation(record(inbox=(message("9"),)), shown, target("semver:minor"), RULES, NOW)
    assert looked.admitted().containers["web"].goods == (good("1.4"),)
    assert ends(looked.admitted())[0][:2] == ("9", "ignored")


def test_a_push_that_is_proven_on_one_container_and_superseded_on_another_ends_once() -> None:
    # Two containers of one repository: blue takes :1.5 alone, and web the newer :latest.
    older, newer = message("1.5"), message("latest", pushed=10)
    images = {"blue": "acme/shop:1.5", "web": "acme/shop:latest"}
    now = record(
        {"blue": container(candidate(older)), "web": container(candidate(newer), candidate(older))},
        change=change(images, since=0, asked={"blue": "1.5", "web": "latest"}, touched=frozenset(images)),
    )
    shown = group(images, dict.fromkeys(images, running(5)))
    after, action = Situation(now, shown, target("any", *images), RULES, NOW).reconciled(now)
    assert action == Rest()
    assert [(ending.message.id, ending.result) for ending in after.outbox] == [
        ("1.5", "updated"),
        ("latest", "updated"),
    ]


@pytest.mark.parametrize(
    "value",
    [
        Absence("ManifestUnknown", "no such image"),
        situation(record()),
        Following("docker.io/acme/shop", AnyTag(), "acme/shop:1"),
        Ruling("web", "wanted", "so"),
        Desired("acme/shop:1", frozenset()),
        Failed("CrashLoop", "it crashes", NOW, circumstance=False, attempts=1),
        PlannedImage("web", "acme/shop:1", "acme/shop:2"),
        Plan(target(), "nothing", ()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_value_of_the_core_can_be_changed_in_place(value: Any) -> None:
    name = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, None)
    assert not hasattr(value, "__dict__")
