"""The sweep: what counts as lost, what as missed, and that one target's trouble holds up no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.errors import RemoteError
from shared.image import ImageReference
from shared.message import TargetId, UpdateMessage
from tests.fakes import Clock, MemoryRecords
from tests.unit.builders import SHOP, at, container, digest, event, failure, group, message, record, running, wanted
from worker.adapters.record_blobs import Conflict
from worker.adapters.registry.client import Absent, Found, Lookup, Unknown
from worker.change import CONFLICTS
from worker.groups.group import ContainerGroup
from worker.manual import hold
from worker.record import Record
from worker.record_parts import Hold
from worker.sweep import Sweeper, Swept, lost_messages
from worker.targets.target import Target, single_target

TWO = message("2")
SETTLE = timedelta(seconds=1800)
ONE, NEXT = digest("one"), digest("next")
API = TargetId(subscription="sub", resource_group="web", container_group="api")


class Registry:
    """A registry by what it says of a tag."""

    def __init__(self, **tags: Lookup) -> None:
        self._tags = tags

    def lookup(self, image: ImageReference) -> Lookup:
        return self._tags.get(image.tag or "", Absent(f"{image} is not in its registry"))

    def tags(self, image: ImageReference) -> list[str]:
        return list(self._tags)


class Groups:
    """Groups by their names, or the error that reading one meets."""

    def __init__(self, **shown: ContainerGroup | Exception) -> None:
        self._shown = shown

    def get(self, target: TargetId) -> ContainerGroup:
        one = self._shown[target.container_group]
        if isinstance(one, Exception):
            raise one
        return one

    def put(self, target: TargetId, definition: bytes, insist: Callable[[], None]) -> None:
        raise AssertionError("a sweep changes no group")

    def restart(self, target: TargetId, insist: Callable[[], None]) -> None:
        raise AssertionError("a sweep changes no group")


class Contested(MemoryRecords):
    """Records that somebody else writes first, so many times."""

    conflicts = 0

    def save(self, record: Record, etag: str | None) -> str:
        if self.conflicts:
            self.conflicts -= 1
            raise Conflict("somebody was faster")
        return super().save(record, etag)


class Round:
    """One sweep of `shop`, an hour after noon."""

    def __init__(self, now: Record | None = None, registry: Registry | None = None, **shown: Any) -> None:
        self.records = Contested()
        if now:
            self.records.save(now, None)
        self.sent: list[UpdateMessage] = []
        clock = Clock()
        clock.advance(3600)
        self.sweeper = Sweeper(
            groups=Groups(**({"shop": group()} | shown)),
            records=self.records,
            registry=registry or Registry(**{"1": Found(ONE)}),
            send=self.sent.append,
            new_id=lambda: "found",
            now=clock.now,
            settle_time=SETTLE,
        )

    def run(self, *targets: Target) -> list[Swept]:
        return list(self.sweeper.sweep(targets or (single_target(SHOP),)))


def ended_as_held(now: Record, when: datetime) -> Record:
    return now.ended(TWO, ("web",), "held", "by a resource tag", when)


WAITING = record({"web": container(wanted(TWO))})
BEGUN = record({"web": container(wanted(TWO, began=1000))})
DONE = record({"web": container(wanted(TWO, status="done"))})
FAILED = record({"web": container(wanted(TWO, status="failed", began=0), failures=(failure(TWO),))})
SETTLED = record({"web": container(wanted(TWO, status="failed"), failures=(failure(TWO, settled="failed"),))})
ROLLING_BACK = BEGUN.but(hold=Hold(reason="rolled back", since=at(0), allows="2"))


@pytest.mark.parametrize(
    ("now", "silent_since", "lost"),
    [
        (WAITING, at(0), False),
        (WAITING, at(1), True),
        (BEGUN, at(1000), False),
        (BEGUN, at(1001), True),
        (DONE, at(9999), False),
        # FINDING: a message that was lost in the middle of a rollback was never sent again.
        (FAILED, at(60), False),
        (FAILED, at(61), True),
        (SETTLED, at(9999), False),
        (hold(WAITING, "sale", at(0)), at(9999), False),
        (ROLLING_BACK, at(9999), True),
        (ended_as_held(WAITING, at(5)), at(0), True),
        (ended_as_held(WAITING.refresh(["2"], at(9)), at(5)), at(0), False),
        (ended_as_held(DONE, at(5)), at(0), False),
        (record({"web": container()}), at(9999), False),
        (ended_as_held(FAILED, at(70)), at(0), True),
        # FINDING: each sweep sent a rollback that a hold had put off once more.
        (ended_as_held(FAILED, at(70)).refresh(["2"], at(99)), at(0), False),
    ],
)
def test_which_messages_are_lost(now: Record, silent_since: datetime, *, lost: bool) -> None:
    assert lost_messages(now, silent_since) == ({"2": TWO} if lost else {})


class TestWake:
    def test_a_lost_message_is_sent_again_and_has_all_its_time(self) -> None:
        done = Round(WAITING)
        assert [one.woken for one in done.run()] == [1]
        assert [one.id for one in done.sent] == ["2"]
        assert done.records.load(SHOP)[0].open()["web"].admitted_at == at(3600)
        # FINDING: each sweep added a copy of a living message.
        assert [one.woken for one in done.run()] == [0]

    def test_of_a_held_group_only_what_goes_back(self) -> None:
        done = Round(ROLLING_BACK)
        assert done.run() == [Swept(SHOP, woken=1, problem="held", held=True)]

    def test_nothing_of_a_group_that_its_owner_stopped_or_a_tag_holds(self) -> None:
        for shown in (group(shown="Stopped"), group(tags={"aci-hooks.hold": "x"})):
            done = Round(WAITING, shop=shown)
            assert (done.run()[0].held, done.sent) == (True, [])

    def test_what_is_to_be_taken_back_is_woken_beside_a_newer_push(self) -> None:
        # FINDING: it was forgotten once a newer push had been admitted while the group was held.
        newer = message("3", pushed=70)
        one = container(wanted(newer), failures=(failure(TWO),))
        done = Round(ended_as_held(record({"web": one}), at(80)))
        assert [one.woken for one in done.run()] == [2]
        assert {one.id for one in done.sent} == {"2", "3"}

    @pytest.mark.parametrize(("conflicts", "woken"), [(0, True), (CONFLICTS - 1, True), (CONFLICTS, False)])
    def test_somebody_who_writes_meanwhile_does_not_stop_it(self, conflicts: int, *, woken: bool) -> None:
        # FINDING: what met a write of another worker was woken by nobody else.
        done = Round(ended_as_held(WAITING, at(5)))
        done.records.conflicts = conflicts
        if woken:
            assert done.sweeper.wake(SHOP) == 1
        else:
            with pytest.raises(Conflict, match="web/shop was written by others"):
                done.sweeper.wake(SHOP)
        assert [one.id for one in done.sent] == (["2"] if woken else [])


class TestMissed:
    def test_a_tag_that_moved_is_found(self) -> None:
        pulled = running(-3600, event("Pulled", -3600, f'pulled "acme/shop@{ONE}"'))
        shown = group({"web": "acme/shop:1"}, {"web": pulled})
        assert Round(shop=shown).run() == [Swept(SHOP)]
        done = Round(registry=Registry(**{"1": Found(NEXT)}), shop=shown)
        assert [str(push.image) for push in done.run()[0].missed] == ["docker.io/acme/shop:1"]
        assert [(one.id, one.push.sender, one.push.digest) for one in done.sent] == [("found", "sweep", NEXT)]

    def test_an_index_and_what_was_pulled_of_it_are_one_image(self) -> None:
        pulled = running(-3600, event("Pulled", -3600, f'pulled "acme/shop@{NEXT}"'))
        one = container(wanted(message("1", digest=ONE), status="done"))
        done = Round(record({"web": one}), shop=group({"web": "acme/shop:1"}, {"web": pulled}))
        assert done.run() == [Swept(SHOP)]

    @pytest.mark.parametrize(
        ("said", "problem"),
        [
            (Unknown("docker.io: unreachable"), "web: docker.io: unreachable"),
            (Absent("it is not there"), "web: it is not there"),
        ],
    )
    def test_what_could_not_be_found_out_is_said(self, said: Lookup, problem: str) -> None:
        # FINDING: with the registry unreachable, a sweep said that all was well.
        assert Round(registry=Registry(**{"1": said})).run() == [Swept(SHOP, problem=problem)]


@pytest.mark.parametrize(
    "trouble", [RemoteError("arm", 404, "ResourceNotFound", "gone"), ValueError("a broken record")]
)
def test_ones_trouble_holds_up_no_other(trouble: Exception) -> None:
    # FINDING: what was no error of a remote system ended the sweep, and its thread with it.
    swept = Round(api=trouble).run(single_target(API), single_target(SHOP))
    assert [(str(one.target), one.problem) for one in swept] == [("web/api", str(trouble)), ("web/shop", None)]


def test_an_image_that_nobody_can_read_holds_up_no_other_container() -> None:
    shown = group({"bad": "not an image", "web": "acme/shop:1"})
    (swept,) = Round(registry=Registry(**{"1": Found(NEXT)}), shop=shown).run()
    assert swept.problem is not None
    assert swept.problem.startswith("bad: ")
    assert swept.missed == ()
