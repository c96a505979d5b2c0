"""What a process holds in the course of a run, and whether it grows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

MOST_GROWTH = 0.1
"""Part by which a process may be larger at the end of a run than in the middle; what comes before is its warm-up."""
_FEWEST = 20
"""Samples of the shortest run that tells anything: a shorter one is all warm-up."""


def tenths(samples: Sequence[float]) -> list[float]:
    """The median of each tenth of the run, fewer if there are fewer samples."""
    parts = min(10, len(samples))
    edges = [len(samples) * part // parts for part in range(parts + 1)] if parts else []
    return [median(samples[start:end]) for start, end in pairwise(edges)]


def verdict(samples: Sequence[float]) -> str:
    """Whether it was flat, in a sentence."""
    if len(samples) < _FEWEST:
        return "too short a run to tell whether it grows"
    change = f"{100 * _change(samples):+.1f} % over the last half"
    return f"flat ({change})" if _change(samples) <= MOST_GROWTH else f"GROWS ({change})"


def growth(who: str, samples: Sequence[float]) -> Iterator[str]:
    """What is to be said against a process that grew in the last half of the run."""
    if len(samples) >= _FEWEST and _change(samples) > MOST_GROWTH:
        yield f"MEMORY: {who} grew from {tenths(samples)[4]:.0f} to {tenths(samples)[-1]:.0f} MiB in the last half"


def _change(samples: Sequence[float]) -> float:
    parts = tenths(samples)
    return parts[-1] / parts[4] - 1 if parts[4] else 0.0


def mebibytes(pid: int) -> float:
    """The memory that a process holds now."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def mebibytes_here() -> float:
    """The memory that this process holds now."""
    return mebibytes(os.getpid())
