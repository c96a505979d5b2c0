"""`python -m tests.bench`: every part, and one table at the end."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rich.console import Console

from tests.bench import costs, latency, throughput
from tests.bench.measures import Figure, show
from tests.chaos.stage import from_checkout
from tests.processes import PROJECT, environment_of

Part = Callable[[Path, Path], Iterator[Figure]]
"""Measures with its logs in a folder, and with the workers and ingresses of a checkout."""


def main() -> None:
    arguments = _parser().parse_args()
    console = Console(width=None if os.isatty(1) else 150)
    checkouts = [PROJECT]
    if arguments.against:
        checkouts.append(_checked(arguments.against.resolve()))
    measured: dict[Path, list[Figure]] = {checkout: [] for checkout in checkouts}
    for name, parts in _parts(arguments).items():
        if arguments.only and name not in arguments.only:
            continue
        for part in parts:
            # One checkout after the other, so that they share nothing, the machine's time least of all.
            for checkout in checkouts:
                with tempfile.TemporaryDirectory(prefix="aci-hooks-bench-") as folder, console.status(name):
                    measured[checkout] += part(Path(folder), checkout)
    console.print(f"{platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}, Azurite")
    if arguments.against:
        other = checkouts[-1]
        console.print(f"value: {PROJECT} ({_version(PROJECT)}); against: {other} ({_version(other)})", highlight=False)
        show(measured[PROJECT], console, measured[other], "against")
    else:
        show(measured[PROJECT], console)


def _parts(arguments: argparse.Namespace) -> dict[str, list[Part]]:
    return {
        "ingress": [partial(throughput.ingress, count=arguments.pushes)],
        "worker": [partial(throughput.worker, count=arguments.pushes)],
        "costs": [costs.one_push, partial(costs.burst, count=arguments.burst)],
        "flight": [partial(costs.in_flight, count=arguments.rollouts)],
        "latency": [partial(latency.time_to_put, groups=groups, pushes=20) for groups in (10, 1000)],
    }


def _checked(checkout: Path) -> Path:
    """The checkout, if a worker that is started there is its own: else this project's would be measured twice."""
    code = "import ingress, worker; print(ingress.__file__, worker.__file__, sep='\\n')"
    command = from_checkout(checkout, (sys.executable, "-c", code))
    asked = subprocess.run(command, env=environment_of({}), capture_output=True, text=True, check=False)
    if asked.returncode or not all(Path(line).is_relative_to(checkout) for line in asked.stdout.splitlines()):
        sys.exit(f"{checkout} has no worker and ingress of its own: {asked.stdout}{asked.stderr}")
    return checkout


def _version(checkout: Path) -> str:
    """Its commit, and whether it was changed since."""
    command = ("git", "-C", str(checkout), "describe", "--always", "--dirty", "--exclude=*")
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "no commit"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parts = ("ingress", "worker", "costs", "flight", "latency")
    parser.add_argument("--only", action="append", choices=parts, help="this part alone; may be given several times")
    parser.add_argument("--against", type=Path, help="another checkout of the project, to be measured beside this one")
    parser.add_argument("--pushes", type=int, default=1500, help="messages for ingress and worker (%(default)s)")
    parser.add_argument("--burst", type=int, default=200, help="pushes of a burst to one group (%(default)s)")
    parser.add_argument("--rollouts", type=int, default=500, help="rollouts at a time in flight (%(default)s)")
    return parser


if __name__ == "__main__":
    main()
