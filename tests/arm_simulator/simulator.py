"""The simulator without a server: a request comes in, an answer goes out, from any number of threads."""

import time
from collections.abc import Callable
from threading import Event, Lock

from . import control
from .arm import ArmSurface, Target
from .control import ControlSurface
from .faults import Fault, Faults
from .journal import Journal
from .messages import Answer, Request
from .world import World


class Simulator:
    """Thread-safe. `clock` gives seconds since the epoch; progress is what it says has passed."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = Lock()
        self._end_of_stalls = Event()
        self._reset()

    def _reset(self) -> None:
        self._world = World(self._clock)
        self._faults = Faults()
        self._journal = Journal()
        self._arm = ArmSurface(self._world, self._clock)
        self._control = ControlSurface(self._world, self._faults, self._journal, self._reset, self._end_stalls)

    def close(self) -> None:
        """Ends the stalls under way, and those that come yet."""
        self._end_of_stalls.set()

    def _end_stalls(self) -> None:
        self._end_of_stalls.set()
        self._end_of_stalls = Event()

    def answer(self, request: Request) -> Answer | None:
        """None: close the connection without an answer."""
        if request.path == control.PREFIX or request.path.startswith(f"{control.PREFIX}/"):
            with self._lock:
                return self._control.serve(request)
        with self._lock:
            target = self._arm.target(request)
            key, route = (target.key, target.route) if target else (None, "")
            fault = self._faults.draw(request.method, key, route)
            end_of_stall = self._end_of_stalls
        if fault and fault.delay:
            end_of_stall.wait(fault.delay)
        with self._lock:
            return self._answered(request, target, fault)

    def _answered(self, request: Request, target: Target | None, fault: Fault | None) -> Answer | None:
        served = self._arm.serve(target, request) if fault is None or fault.takes_effect else None
        told = (fault.answer() if fault else None) or served
        if fault and fault.hangs_up:
            told = None
        self._journal.record(
            request,
            target.key if target else None,
            now=self._clock(),
            served=served,
            status=told.status if told else None,
            fault=fault.fault if fault else None,
            listing=target is not None and target.is_list,
        )
        return told
