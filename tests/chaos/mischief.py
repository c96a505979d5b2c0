"""The mischief: carries out a plan's acts at their times, and counts them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.arm_simulator import SimulatorClient
from tests.chaos.plan import Act, Plan
from tests.chaos.stage import Stage
from tests.processes import ProcessError

FAULT_RATE = 0.10
STALL = 2.5
"""Seconds that a stalled request of ARM takes: less than a worker's lease."""
FAULTS = ("throttle", "conflict", "error", "error-after", "reset", "reset-after", "stall")
_TRIES = 10


class Mischief:
    """Does what the plan says to the stage, from `run` until `stop`."""

    def __init__(self, stage: Stage, plan: Plan) -> None:
        self._stage = stage
        self._plan = plan
        self._stopping = threading.Event()
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []

    def run(self, began: float) -> None:
        """Do every act at its time after `began`, a time by time.time(), until `stop`; returns when all are over."""
        # In threads of their own: a start of Azurite takes seconds, in which the others' mischief goes on.
        with ThreadPoolExecutor(16, thread_name_prefix="mischief") as threads:
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
        stage = self._stage
        match act.kind:
            case "kill worker":
                stage.workers[act.victim].kill()
            case "kill ingress":
                stage.ingresses[act.victim].kill()
            case "freeze worker" | "freeze ingress":
                slot = (stage.workers if act.kind == "freeze worker" else stage.ingresses)[act.victim]
                slot.freeze()
                self._stopping.wait(act.seconds)
                slot.thaw()
            case "restart azurite":
                stage.restart_azurite(lambda: self._stopping.wait(act.seconds))
            case "hold":
                self._command("hold", f"g{act.victim:02}", "--reason", "chaos")
                self._stopping.wait(act.seconds)
                self._command("release", f"g{act.victim:02}")

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


def set_faults(arm: SimulatorClient, rate: float = FAULT_RATE, kinds: tuple[str, ...] = FAULTS) -> None:
    """Let about this share of all requests meet trouble, each kind alike."""
    share = rate / len(kinds)
    for number, kind in enumerate(kinds):
        # A request meets the first fault that its dice give it: this one sees what the earlier ones let pass.
        arm.fault(kind, rate=share / (1 - share * number), seconds=STALL)
