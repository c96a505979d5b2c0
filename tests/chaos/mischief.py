"""The mischief: carries out a plan's acts at their times, and counts them.

What owners do to their groups on the way is kept: for how long they were to be left alone, and their new addresses.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

from shared.queue import Queue
from tests.arm_simulator import SimulatorClient, SimulatorRefusedError
from tests.arm_simulator.reports import GroupTruth
from tests.chaos.evidence import DELETED, LeftAlone
from tests.chaos.hostile import TAMPERING
from tests.chaos.plan import CALM, HOLD_TAG, OUTAGES, SHUT, Act, Plan
from tests.chaos.records import Records
from tests.chaos.stage import Slot, Stage
from tests.chaos.tampering import Tampering
from tests.processes import ProcessError, wait_until

FAULT_RATE = 0.10
STALL = 2.5
"""Seconds that a stalled request of ARM takes: less than a worker's lease."""
FAULTS = ("throttle", "conflict", "error", "error-after", "reset", "reset-after", "stall")
_TRIES = 10
_OWNERS_PATIENCE = 30.0
"""Seconds for which an owner tries again while the group is in transition."""


class Mischief:
    """Does what the plan says to the stage, from `run` until `stop`."""

    def __init__(self, stage: Stage, plan: Plan, updates: Queue, records: Records) -> None:
        self._stage = stage
        self._plan = plan
        self._stopping = threading.Event()
        self._tampering = Tampering(plan, updates, records, self._stopping)
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self.left_alone: list[LeftAlone] = []
        self.addresses: dict[str, str | None] = {}

    @property
    def forged(self) -> frozenset[str]:
        """The texts of the messages that the hostile put onto the queue."""
        return frozenset(self._tampering.forged)

    def run(self, began: float) -> None:
        """Do every act at its time after `began`, a time by time.time(), until `stop`; returns when all are over."""
        # In threads of their own: a start of Azurite takes seconds, in which the others' mischief goes on.
        with ThreadPoolExecutor(48, thread_name_prefix="mischief") as threads:
            for act in self._plan.acts:
                if self._stopping.wait(max(0.0, began + act.at - time.time())):
                    return
                threads.submit(self._do, act)

    def stop(self) -> None:
        """No further act, and an end to those under way."""
        self._stopping.set()

    def _do(self, act: Act) -> None:
        self.counts[act.kind] += 1
        try:
            self._act(act)
        except Exception as error:
            self.problems.append(f"{act.kind}: {error}")

    def _act(self, act: Act) -> None:
        match act.kind:
            case "kill worker" | "kill ingress":
                self._slots(act)[act.victim].kill()
            case "freeze worker" | "freeze ingress":
                self._freeze([self._slots(act)[act.victim]], act.seconds)
            case "workers away":
                self._freeze(self._stage.workers, act.seconds)
            case "restart azurite":
                self._stage.restart_azurite(lambda: self._stopping.wait(act.seconds))
            case "hold":
                self._command("hold", _group(act), "--reason", "chaos")
                self._stopping.wait(act.seconds)
                self._command("release", _group(act))
            case "tamper with record":
                self._tampering.tamper(_group(act), TAMPERING[round(act.seconds * 100) % 3], act.seconds)
            case "forge record":
                self._tampering.forge_record(act.seconds)
            case "forge messages":
                self._tampering.forge_messages(act.victim)
            case _:
                self._to_arm(act)

    def _to_arm(self, act: Act) -> None:
        match act.kind:
            case "ARM outage" | "ARM read outage":
                with self._outage(act, "GET" if act.kind == "ARM read outage" else None):
                    self._stopping.wait(act.seconds)
            case "long outage":
                self._shut_out(act)
            case "recreate group":
                self._recreate(act)
            case "stop group":
                self._stop_and_start(act)
            case "tag group":
                self._tag_and_untag(act)
            case _:
                raise AssertionError(f"nobody does {act.kind!r}")

    def _slots(self, act: Act) -> list[Slot]:
        return self._stage.workers if act.kind.endswith("worker") else self._stage.ingresses

    def _freeze(self, slots: list[Slot], seconds: float) -> None:
        for slot in slots:
            slot.freeze()
        self._stopping.wait(seconds)
        for slot in slots:
            slot.thaw()

    @contextmanager
    def _outage(self, act: Act, method: str | None) -> Iterator[None]:
        """What the dice of the other faults let pass fails, too."""
        name = f"outage at {act.at}"
        match OUTAGES[act.victim]:
            case "unavailable":
                self._stage.arm.fault("error", status=503, method=method, name=name)
            case "throttled":
                self._stage.arm.fault("throttle", retry_after=2, method=method, name=name)
            case "no role":
                self._stage.arm.fault("refuse", method=method, name=name)
            case "no registry":
                self._no_registry(name)
            case "quota":
                code = "ContainerGroupQuotaReached"
                self._stage.arm.fault("refuse", status=409, code=code, message="No.", method="PUT", name=name)
            case _:
                self._stage.arm.fault("reset", method=method, name=name)
        try:
            yield
        finally:
            self._stage.arm.clear_faults(name)

    def _no_registry(self, name: str, group: str | None = None) -> None:
        # Reads do not ask it. Azure wraps the code, which then stands in the details alone.
        self._stage.arm.fault(
            "refuse",
            status=400,
            code="MultipleErrorsOccurred",
            message="See details.",
            details="RegistryErrorResponse,InaccessibleImage",
            method="PUT",
            group=group,
            name=name,
        )

    def _shut_out(self, act: Act) -> None:
        """Azure can't pull the images of one group, for longer than the workers are patient."""
        self._no_registry("long outage", f"*{SHUT}")
        self._stopping.wait(act.seconds)
        self._stage.arm.clear_faults("long outage")

    def _recreate(self, act: Act) -> None:
        """A group is gone for a while, and then there is another one of its name, with what it ran at first."""
        since = datetime.now(UTC)
        self._stage.delete(CALM)
        self._stopping.wait(act.seconds)
        self.left_alone.append(LeftAlone(CALM, DELETED, since, datetime.now(UTC)))
        images = {name: repository.first_image for name, repository in self._plan.groups[CALM].items()}
        self._stage.place(CALM, images)
        self.addresses[CALM] = self._stage.truth(CALM)["ip"]

    def _stop_and_start(self, act: Act) -> None:
        group = _group(act)
        self._as_owner("stop", group)
        self._leave_alone(act, "stopped", lambda truth: truth["state"] == "Stopped")
        # Whatever the address is then: a stopped group has none to keep.
        self.addresses[group] = self._as_owner("start", group)["ip"]

    def _tag_and_untag(self, act: Act) -> None:
        group = _group(act)
        self._stage.tag(group, {HOLD_TAG: "chaos"})
        self._leave_alone(act, "held by a tag", lambda truth: HOLD_TAG in truth["definition"].get("tags", {}))
        self._stage.tag(group, {})

    def _leave_alone(self, act: Act, why: str, holds: Callable[[GroupTruth], bool]) -> None:
        since = datetime.now(UTC)
        self._stopping.wait(act.seconds)
        until = datetime.now(UTC)
        if holds(self._stage.truth(_group(act))):
            self.left_alone.append(LeftAlone(_group(act), why, since, until))
        else:
            # A PUT that was under way began before it: it deploys what a group looked like before.
            self.counts[f"no longer {why}, by a PUT"] += 1

    def _as_owner(self, action: str, group: str) -> GroupTruth:
        """Like `az container stop`, and again for as long as the group is in transition."""
        done: list[GroupTruth] = []

        def accepted() -> bool:
            try:
                done.append(self._stage.owner(action, group))
            except SimulatorRefusedError:
                return False
            return True

        wait_until(accepted, _OWNERS_PATIENCE, f"the owner's {action} of {group} was not accepted")
        return done[0]

    def _command(self, *arguments: str) -> None:
        """What an operator does by hand, and once more if it failed: storage may be away."""
        for _ in range(_TRIES):
            program = self._stage.command(*arguments)
            try:
                if program.wait(60) == 0:
                    return
            except ProcessError:
                program.kill()
        raise program.error(f"{' '.join(arguments)} did not work in {_TRIES} tries")


def _group(act: Act) -> str:
    return f"g{act.victim:02}"


def set_faults(arm: SimulatorClient, rate: float = FAULT_RATE, kinds: tuple[str, ...] = FAULTS) -> None:
    """Let about this share of all requests meet trouble, each kind alike."""
    share = rate / len(kinds)
    for number, kind in enumerate(kinds):
        # A request meets the first fault that its dice give it: this one sees what the earlier ones let pass.
        arm.fault(kind, rate=share / (1 - share * number), seconds=STALL)
