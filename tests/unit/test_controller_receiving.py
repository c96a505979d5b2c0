"""Receiving: a push is sent on to each of its targets, and pushes to one target are written together."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from shared.image import ImageReference
from shared.message import Look
from tests.fakes import FixedTargets
from tests.unit.builders import API, SHOP, THREE, TWO, candidate, container, message, record, timer
from tests.unit.controller_builders import QUEUE_DOWN, TARGET, Bench, chance, conflict, counted
from worker.controller.receiving import Receiving
from worker.controller.settlement import Complete, Reschedule
from worker.controller.telling import Telling
from worker.controller.timers import CONFLICTS
from worker.ports import Conflict
from worker.record.record import MOST_WAITING
from worker.targets.target import Target, single_target

PUSHED = message("2", attempts=3).model_copy(update={"kind": "push", "target": None, "dequeued": 4})


def receiving(bench: Bench) -> Receiving:
    ports = bench.ports()
    return Receiving(ports, Telling(ports), chance())


class TestFanOut:
    def test_a_push_is_sent_to_each_of_its_targets_as_a_new_message(self) -> None:
        bench = Bench()
        bench.targets = FixedTargets(TARGET, single_target(API))
        with capture_logs() as logs:
            assert receiving(bench).fan_out(PUSHED) == Complete()
        assert bench.sent == [message("2"), message("2").model_copy(update={"target": API})]
        assert [(line["event"], line["targets"]) for line in logs] == [("targets found", ["web/shop", "web/api"])]

    def test_the_targets_are_those_of_the_pushed_image(self) -> None:
        asked: list[str] = []

        class Targets(FixedTargets):
            def concerned(self, image: ImageReference) -> tuple[Target, ...]:
                asked.append(str(image))
                return super().concerned(image)

        bench = Bench()
        bench.targets = Targets(TARGET)
        receiving(bench).fan_out(PUSHED)
        assert asked == ["docker.io/acme/shop:2"]

    def test_a_push_that_concerns_no_target_ends_and_that_is_told(self) -> None:
        bench = Bench()
        bench.targets = FixedTargets()
        before = counted("aci_hooks_outcomes_total", outcome="ignored")
        with capture_logs() as logs:
            assert receiving(bench).fan_out(PUSHED) == Complete()
        assert bench.sent == []
        assert counted("aci_hooks_outcomes_total", outcome="ignored") == before + 1
        assert [(line["event"], line["outcome"], line["detail"]) for line in logs] == [
            ("ended", "ignored", "no target runs docker.io/acme/shop")
        ]


class TestReceive:
    def test_pushes_to_one_target_are_written_together_and_start_one_timer(self) -> None:
        bench = Bench()
        assert receiving(bench).receive(SHOP, [THREE, TWO]) == {"3": Complete(), "2": Complete()}
        assert bench.record == record(inbox=(TWO, THREE), timer=timer(0, "id-1"), count=1)
        assert bench.sent == [Look(target=SHOP, token="id-1", count=1)]
        assert bench.saves() == 1

    def test_a_push_does_not_wake_a_group_that_waits_for_its_owner(self) -> None:
        waits = timer(60, owner=True)
        bench = Bench(record(timer=waits, count=1))
        assert receiving(bench).receive(SHOP, [TWO]) == {"2": Complete()}
        assert bench.record == record(inbox=(TWO,), timer=waits, count=1)
        assert bench.sent == []

    def test_a_push_that_comes_again_costs_one_read(self) -> None:
        bench = Bench(record({"web": container(candidate(TWO))}, ended=("1",)))
        assert receiving(bench).receive(SHOP, [TWO, message("1")]) == {"2": Complete(), "1": Complete()}
        assert bench.calls == ["before load", "after load"]

    @pytest.mark.parametrize(("dequeued", "pause"), [(0, 1.0), (1, 2.0), (4, 16.0), (5, 30.0), (5000, 30.0)])
    def test_a_push_that_the_record_has_no_room_for_stays_on_the_queue(self, dequeued: int, pause: float) -> None:
        full = tuple(message(f"0.{number}") for number in range(MOST_WAITING - 1))
        bench = Bench(record(inbox=full))
        late = message("3", pushed=1, attempts=2).model_copy(update={"dequeued": dequeued})
        with capture_logs() as logs:
            settled = receiving(bench).receive(SHOP, [TWO, late])
        delay = pause * chance().uniform(0.5, 1.0)
        assert settled == {"2": Complete(), "3": Reschedule(late.model_copy(update={"attempts": 0}), delay)}
        assert TWO in bench.record.inbox
        assert [line["count"] for line in logs if line["log_level"] == "warning"] == [1]

    def test_a_record_with_enough_room_causes_no_warning(self) -> None:
        with capture_logs() as logs:
            receiving(Bench()).receive(SHOP, [TWO])
        assert logs == []

    def test_the_room_is_that_of_the_record_as_it_was_written(self) -> None:
        full = tuple(message(f"0.{number}") for number in range(MOST_WAITING))
        bench = Bench(record(inbox=full))
        bench.on("send", lambda: bench.rewrite(lambda now: now.but(inbox=())))
        bench.rewrite(lambda now: now.but(inbox=full[1:]))
        assert receiving(bench).receive(SHOP, [TWO, THREE]) == {"2": Complete(), "3": Complete()}

    def test_constant_conflicts_are_raised(self) -> None:
        bench = Bench()
        bench.on("save", *[conflict()] * CONFLICTS)
        with pytest.raises(Conflict):
            receiving(bench).receive(SHOP, [TWO])

    def test_a_push_whose_look_could_not_be_sent_was_not_received(self) -> None:
        bench = Bench()
        bench.on("send", QUEUE_DOWN)
        with pytest.raises(type(QUEUE_DOWN)):
            receiving(bench).receive(SHOP, [TWO])
        assert bench.record == record()
