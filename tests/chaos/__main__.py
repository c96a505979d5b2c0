"""`python -m tests.chaos`: one run, its report, and exit code 0 if no law was broken."""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.chaos import bursts
from tests.chaos.plan import draw
from tests.chaos.report import show
from tests.chaos.run import run
from tests.processes import PROJECT, free_ports


def main() -> int:
    arguments = _parser().parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    folder = Path(arguments.logs or tempfile.mkdtemp(prefix="aci-hooks-chaos-"))
    well = (_bursts if arguments.what == "bursts" else _run)(arguments, console, folder)
    if well and not arguments.logs:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if well else 1


def _run(arguments: argparse.Namespace, console: Console, folder: Path) -> bool:
    (port,) = free_ports(1)
    registry = f"127.0.0.1:{port}"
    plan = draw(arguments.seed, arguments.pushes, arguments.seconds, workers=arguments.workers, registry=registry)
    console.print(f"{len(plan.pushes)} pushes in {plan.seconds:g} s, seed {plan.seed}; logs in {folder}", markup=False)
    done = run(plan, folder, arguments.checkout.resolve())
    show(done, console)
    return not done.verdict.violations


def _bursts(arguments: argparse.Namespace, console: Console, folder: Path) -> bool:
    """The bursts of the tests, with as many rounds as it takes to believe them."""
    one = bursts.one_container(folder / "one")
    console.print(f"200 shuffled pushes to one container, 4 workers: {one.puts} PUTs, ends on {one.images['shop']}")
    rounds = bursts.two_containers(folder / "two", rounds=arguments.rounds)
    both = [seen.images["shop"] == bursts.both_at(number) for number, seen in enumerate(rounds, start=1)]
    console.print(f"two containers of a group pushed at once: both there in {sum(both)} of {len(both)} rounds")
    ten = bursts.ten_groups(folder / "ten")
    newest = sum(images["web"].endswith(":v10") for images in ten.images.values())
    console.print(f"100 pushes to 10 groups through faults: {newest} on their newest, {ten.poison} dead letters")
    ends_well = one.puts <= bursts.MOST_PUTS and one.images["shop"]["web"].endswith(":v200")
    return ends_well and all(both) and newest == len(ten.images) and not ten.poison


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("run", "bursts"), default="run")
    parser.add_argument("--pushes", type=int, default=int(os.environ.get("PUSHES") or 400))
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("SECONDS") or 60), help="active phase")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or secrets.randbelow(1_000_000)))
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=20, help="of two containers pushed at once, for bursts")
    parser.add_argument("--checkout", type=Path, default=PROJECT, help="whose workers and ingresses (this project's)")
    parser.add_argument("--logs", help="a folder to keep all logs in; else they are kept only if a law was broken")
    return parser


if __name__ == "__main__":
    sys.exit(main())
