"""Pauses: how long a registry is left alone that could not be reached, or that asked for it. For many threads."""

from __future__ import annotations

from collections.abc import Callable

from shared.errors import RemoteError
from worker.adapters.registry.answers import SERVICE

PAUSE = 30.0
"""Seconds for which a registry that could not be reached is left alone."""

Place = tuple[str, str]
"""A registry, and which of its interfaces: each may have a host and limits of its own."""


class Pauses:
    """The pauses of all registries. `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pauses: dict[Place, tuple[float, RemoteError]] = {}

    def check(self, place: Place) -> None:
        """Raise RemoteError while a place is to be left alone."""
        until, pause = self._pauses.get(place, (0.0, None))
        if pause and self._clock() < until:
            what = f"{pause.message} a moment ago, and is not asked again for a while"
            raise RemoteError(SERVICE, pause.status, pause.code, what)

    def after_silence(self, place: Place) -> None:
        """Pause because a place could not be reached."""
        # Without this, each look at a group would wait for the time limit of a registry that is down.
        unreachable = RemoteError(SERVICE, None, "Unreachable", "unreachable")
        self._pauses[place] = self._clock() + PAUSE, unreachable

    def after(self, place: Place, error: RemoteError) -> None:
        """Pause as long as a registry asks for: whoever goes on asking is let in later still."""
        wants_pause = error.status == 429 or (
            error.status == 503 and error.retry_after is not None
        )
        if wants_pause:
            pause = PAUSE if error.retry_after is None else error.retry_after
            # Not the error itself, which would keep its frames and what they hold.
            told = RemoteError(SERVICE, error.status, error.code, error.message)
            self._pauses[place] = self._clock() + pause, told
