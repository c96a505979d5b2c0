"""`python -m tests.bench`: every part, and one table at the end."""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rich.console import Console

from tests.bench import rollouts, throughput
from tests.bench.measures import Figure, show

Part = Callable[[Path], Iterator[Figure]]


def main() -> None:
    arguments = _parser().parse_args()
    console = Console(width=None if os.isatty(1) else 140)
    figures: list[Figure] = []
    for name, parts in _parts(arguments).items():
        if arguments.only and name not in arguments.only:
            continue
        for part in parts:
            with tempfile.TemporaryDirectory(prefix="aci-hooks-bench-") as folder, console.status(name):
                figures += part(Path(folder))
    console.print(f"{platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}, Azurite")
    show(figures, console)


def _parts(arguments: argparse.Namespace) -> dict[str, list[Part]]:
    return {
        "ingress": [partial(throughput.ingress, count=arguments.pushes)],
        "worker": [partial(throughput.worker, count=arguments.pushes)],
        "flight": [partial(rollouts.in_flight, count=arguments.rollouts)],
        "latency": [partial(rollouts.time_to_put, groups=groups, pushes=20) for groups in (10, 1000)],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parts = ("ingress", "worker", "flight", "latency")
    parser.add_argument("--only", action="append", choices=parts, help="this part alone; may be given several times")
    parser.add_argument("--pushes", type=int, default=1500, help="messages for ingress and worker (%(default)s)")
    parser.add_argument("--rollouts", type=int, default=500, help="rollouts at a time in flight (%(default)s)")
    return parser


if __name__ == "__main__":
    main()
