"""What is measured: figures with units, the table that shows them, and the load that makes them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from tests.chaos.stage import Stage
from tests.processes import wait_until

_PAGE = os.sysconf("SC_PAGE_SIZE")
_SAMPLES_A_SECOND = 10
A_START, A_ROUND = 15.0, 50.0
"""Seconds within which a worker begins with what it does at its start, and with what it does every now and then."""
_LOOK = 0.5
_PATIENCE = 400.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report: what, how much in which unit, and beside what it is to be seen."""

    part: str
    what: str
    value: float
    unit: str = ""
    beside: str = ""

    def __str__(self) -> str:
        digits = 0 if self.value == int(self.value) or self.value >= 100 else 1 if self.value >= 10 else 2
        return f"{self.value:,.{digits}f} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Load:
    """How a number of calls went: seconds in all, and of each of them."""

    seconds: float
    latencies: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Calls per second."""
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """The latency, in milliseconds, within which this share of the calls ended."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def load(call: Callable[[int], object], count: int, threads: int) -> Load:
    """Call so often, from so many threads."""

    def timed(number: int) -> float:
        began = time.perf_counter()
        call(number)
        return time.perf_counter() - began

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        latencies = tuple(pool.map(timed, range(count)))
    return Load(time.perf_counter() - began, latencies)


def wait_for_calm(stage: Stage, seconds: float = A_START) -> None:
    """Return once no group has been read for so long: a worker that starts gets to know its groups."""
    seen = (-1, time.monotonic())

    def calm() -> bool:
        nonlocal seen
        reads = stage.arm.stats()["reads"]
        if reads != seen[0]:
            seen = (reads, time.monotonic())
        time.sleep(_LOOK)
        return time.monotonic() - seen[1] > seconds

    wait_until(calm, _PATIENCE, "ARM is asked all the time")


class Peak:
    """The most memory that a process held, in MiB."""

    def __init__(self) -> None:
        self.mebibytes = 0.0

    def look(self, pid: int) -> None:
        """Note what it holds now."""
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            return
        self.mebibytes = max(self.mebibytes, pages * _PAGE / 2**20)


@contextmanager
def peak_memory(pid: int) -> Iterator[Peak]:
    """Watches a process from `with` to its end."""
    peak, over = Peak(), threading.Event()

    def watch() -> None:
        while not over.wait(1 / _SAMPLES_A_SECOND):
            peak.look(pid)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield peak
    finally:
        over.set()
        watching.join()
        peak.look(pid)


def show(figures: list[Figure], console: Console, against: list[Figure] | None = None, other: str = "") -> None:
    """Print them as one table; with those of another checkout in a second column, and what the first are of them."""
    table = Table("", "measured", Column("value", justify="right"), title="bench")
    if against is not None:
        table.add_column(other, justify="right")
        table.add_column("ratio", justify="right")
    table.add_column("beside")
    others = {(figure.part, figure.what): figure for figure in against or ()}
    part = ""
    for figure in figures:
        cells = [figure.part if figure.part != part else "", figure.what, str(figure)]
        if against is not None:
            cells += _beside(figure, others.get((figure.part, figure.what)))
        table.add_row(*cells, figure.beside)
        part = figure.part
    console.print(table)


def _beside(figure: Figure, other: Figure | None) -> list[str]:
    if other is None:
        return ["", ""]
    return [str(other), f"{figure.value / other.value:.2f}" if other.value else ""]
