"""Looking at many groups side by side, in the order in which they were given, with a bar where a person waits."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

AT_A_TIME = 32
"""Azure answers 25 reads a second of a subscription and puts up with bursts of 250; a read takes some 0.2 seconds."""
BAR_FROM = 8
"""Fewer things are done before anybody has read what a bar says."""

Thing = TypeVar("Thing")
Returned = TypeVar("Returned")


def side_by_side(
    look: Callable[[Thing], Returned], things: Iterable[Thing], doing: str | None
) -> list[Returned]:
    """What `look` gives for each of the things, in their order. What it raises comes up, and what waits is not begun.

    On a terminal a bar says how far it is, with `doing` in front of it; without that there is no bar.
    """
    things = list(things)
    if not things:
        return []
    pool = ThreadPoolExecutor(min(AT_A_TIME, len(things)), thread_name_prefix="look")
    try:
        looks = [pool.submit(look, thing) for thing in things]
        return [each.result() for each in _with_a_bar(looks, doing)]
    finally:
        # After a Ctrl-C or an error nobody waits for the rest. What has been begun goes on in its thread.
        pool.shutdown(wait=False, cancel_futures=True)


class Once(Generic[Returned]):
    """What a call gives, or raises: it is made once, by whichever thread asks first, and the others wait for it.

    functools.cache would make it once for each thread that asks before it has ended, and again after each error.
    """

    def __init__(self, call: Callable[[], Returned]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._made: Future[Returned] = Future()

    def __call__(self) -> Returned:
        """The result, or the error, of the one call."""
        with self._lock:
            if not self._made.done():
                try:
                    self._made.set_result(self._call())
                except Exception as error:
                    self._made.set_exception(error)
        return self._made.result()


def _with_a_bar(
    looks: Sequence[Future[Returned]], doing: str | None
) -> Iterator[Future[Returned]]:
    if doing is None or len(looks) < BAR_FROM or not sys.stderr.isatty():
        yield from looks
        return
    from rich.console import Console
    from rich.progress import track

    out = Console(stderr=True)
    # A terminal that can't go back in a line (TERM=dumb) would show a bar a step.
    if out.is_dumb_terminal:
        yield from looks
    else:
        yield from track(looks, doing, console=out, transient=True)
