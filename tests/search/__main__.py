"""`python -m tests.search`: search for schedules that break a law; exit 1 if any is found."""

from __future__ import annotations

import argparse
import gc
import sys
import time
from contextlib import nullcontext, suppress

from tests.search.mixes import MIXES
from tests.search.planted import PLANTED
from tests.search.search import Found, search, shrunk

ENOUGH = 5
"""Violations of a mix, after which it is not searched any further."""
SLICE = 50
"""Schedules of a mix before it is the next one's turn."""


def main() -> None:
    """Search all mixes in turn until the time is up or the schedules are done."""
    arguments = _parser().parse_args()
    mixes = arguments.mix or ([PLANTED[arguments.plant].mix] if arguments.plant else list(MIXES))
    with PLANTED[arguments.plant].planted() if arguments.plant else nullcontext():
        found = _search(mixes, arguments)
    sys.exit(bool(found))


def _search(mixes: list[str], arguments: argparse.Namespace) -> list[Found]:
    began = time.monotonic()
    done = dict.fromkeys(mixes, 0)
    found: list[Found] = []

    def is_over() -> bool:
        return time.monotonic() - began > float(arguments.seconds)

    def search_in_turn() -> None:
        left = [mix for mix in mixes if arguments.schedules]
        while left and not is_over():
            for mix in left:
                gc.collect()
                limit = min(SLICE, arguments.schedules - done[mix])
                first = arguments.first + done[mix]
                for breach in search(mix, arguments.seed, limit, first):
                    done[mix] += 1
                    if breach:
                        found.append(_told(breach))
                    if is_over() or _count(found, mix) >= ENOUGH:
                        break
            left = [mix for mix in left if done[mix] < arguments.schedules and _count(found, mix) < ENOUGH]

    gc.disable()  # a fifth of the time, else
    # Somebody who has waited long enough presses Ctrl-C, and gets the report of what was done.
    with suppress(KeyboardInterrupt):
        search_in_turn()
    _report(done, found, time.monotonic() - began)
    return found


def _count(found: list[Found], mix: str) -> int:
    return sum(find.mix == mix for find in found)


def _told(breach: Found) -> Found:
    small = shrunk(breach)
    print(f"FOUND {small}\n", flush=True)
    return small


def _report(done: dict[str, int], found: list[Found], seconds: float) -> None:
    for mix, count in done.items():
        print(f"{mix:12} {count:7} schedules, {_count(found, mix)} violations")
    total = sum(done.values())
    print(f"{total} schedules in {seconds:.0f} s ({total / max(seconds, 0.001):.0f}/s), {len(found)} violations")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.search", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for how long, at most (%(default)s)")
    parser.add_argument("--schedules", type=int, default=sys.maxsize, help="of each mix, at most (without end)")
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first schedule (%(default)s)")
    parser.add_argument("--mix", action="append", choices=list(MIXES), help="this mix; may be given several times")
    parser.add_argument("--plant", choices=list(PLANTED), help="with a fault planted, to see that it is found")
    return parser


if __name__ == "__main__":
    main()
