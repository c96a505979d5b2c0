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

from tests.chaos.plan import draw
from tests.chaos.report import show
from tests.chaos.run import run


def main() -> int:
    arguments = _parser().parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140)
    folder = Path(arguments.logs or tempfile.mkdtemp(prefix="aci-hooks-chaos-"))
    plan = draw(arguments.seed, arguments.pushes, arguments.seconds, workers=arguments.workers)
    console.print(
        f"{len(plan.pushes)} pushes in {plan.seconds:g} s, seed {plan.seed}; logs in {folder}",
        markup=False,
        highlight=False,
    )
    done = run(plan, folder)
    show(done, console)
    if done.verdict.violations:
        return 1
    if not arguments.logs:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--pushes", type=int, default=int(os.environ.get("PUSHES") or 400))
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("SECONDS") or 60), help="active phase")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or secrets.randbelow(1_000_000)))
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--logs", help="a folder to keep all logs in; else they are kept only if a law was broken")
    return parser


if __name__ == "__main__":
    sys.exit(main())
