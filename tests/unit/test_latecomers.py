"""Latecomers: groups that got their resource tag, or their image, after the last list and before a push."""

from __future__ import annotations

import pytest

from shared.errors import RemoteError
from shared.message import TargetId, UpdateMessage
from tests.unit.builders import message
from tests.unit.test_catalogue import DOWN, FORBIDDEN, Azure, Seconds, id_of, made
from worker.discovery.catalogue import RENEW, Catalogue
from worker.latecomers import FORGOTTEN, Latecomers


class Bench:
    """One worker's fan-out and its looks at the list."""

    def __init__(self, *places: str, **groups: list[str] | RemoteError) -> None:
        self.azure, self.clock = Azure(**groups), Seconds()
        self.catalogue: Catalogue = made(self.azure, self.clock, *places)
        self.sent: list[UpdateMessage] = []
        self.errors: list[RemoteError] = []
        self.woken: list[str] = []
        self.latecomers = Latecomers(self.catalogue, self._send, self._wake, self.clock)

    def push(self, number: str) -> None:
        """Fan a push out, as a step does."""
        pushed = message(number).model_copy(update={"target": None, "kind": "push"})
        self.latecomers.fanned_out(pushed, [target.id for target in self.catalogue.concerned(pushed.push.image)])

    def look(self, after: float = RENEW) -> list[tuple[str, str]]:
        """What the next look sends: the pushes and their targets."""
        self.clock.now += after
        self.sent.clear()
        self.latecomers.look()
        return [(one.id, one.target.container_group) for one in self.sent if one.target]

    def _wake(self, target: TargetId) -> None:
        if self.errors:
            raise self.errors.pop()
        self.woken.append(target.container_group)

    def _send(self, of: UpdateMessage) -> None:
        if self.errors:
            raise self.errors.pop()
        self.sent.append(of)


def test_a_group_that_was_tagged_after_the_list_gets_the_push_with_the_next() -> None:
    # FINDING: it missed the push, as another group that runs the same image had been found.
    bench = Bench("web", web=["shop"])
    bench.push("2")
    bench.azure.places["web"] = ["shop", "new"]
    bench.push("3")
    assert bench.look(after=1) == []
    assert bench.look() == [("2", "new"), ("3", "new")]
    assert bench.look() == []


def test_a_push_that_found_nothing_is_remembered_too() -> None:
    bench = Bench("web", web=[])
    bench.push("2")
    bench.azure.places["web"] = ["new"]
    assert bench.look() == [("2", "new")]


def test_a_list_made_for_another_reason_is_as_good() -> None:
    bench = Bench("web", web=["shop"])
    bench.push("2")
    bench.azure.places["web"] = ["shop", "new"]
    bench.catalogue.get(id_of("new"))
    assert bench.look(after=1) == [("2", "new")]


@pytest.mark.parametrize("listing", [True, False])
def test_what_fails_is_done_with_the_next_look(listing: bool) -> None:
    bench = Bench("web", web=["shop"])
    bench.push("2")
    bench.azure.places["web"] = DOWN if listing else ["shop", "new"]
    bench.errors = [] if listing else [DOWN]
    with pytest.raises(RemoteError):
        bench.look()
    bench.azure.places["web"] = ["shop", "new"]
    assert bench.look() == [("2", "new")]


def test_a_place_that_may_not_be_listed_yet_is_waited_for_but_not_for_ever() -> None:
    bench = Bench("web", "batch", web=["shop"], batch=FORBIDDEN)
    bench.push("2")
    assert bench.look() == []
    bench.azure.places["batch"] = ["job"]
    assert bench.look() == [("2", "job")]
    bench.azure.places["batch"] = DOWN
    bench.push("3")
    bench.clock.now += FORGOTTEN
    with pytest.raises(RemoteError):
        bench.look()
    bench.azure.places["batch"] = ["job", "new"]
    assert bench.look() == []


def test_what_waited_for_a_hold_goes_on_when_the_tag_is_gone() -> None:
    # FINDING: it waited for a sweep, which is off by default.
    bench = Bench("web", web=["shop", "held", "held-too"])
    for _ in range(2):
        bench.look()
    assert bench.woken == []
    bench.azure.places["web"] = ["shop", "held-too"]
    bench.errors = [DOWN]
    with pytest.raises(RemoteError):
        bench.look()
    bench.look()
    bench.look()
    assert bench.woken == ["held"]


def test_where_nothing_is_listed_nothing_is_remembered() -> None:
    bench = Bench()
    for number in range(3):
        bench.push(str(number))
    assert bench.look() == []
    assert bench.latecomers.remembered == 0
