"""`make demo`, the README's first command, as it runs there."""

from __future__ import annotations

import subprocess
import sys

from tests.processes import PATIENCE, PROJECT

TOLD = ("  CrashLoop: ", "  rollback: PUT with ")


def test_the_demo_shows_what_it_promises() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.demo"], cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 5
    told = [line for line in done.stdout.splitlines() if "worker-" in line]
    failed, rollback = (next(number for number, line in enumerate(told) if what in line) for what in TOLD)
    assert failed < rollback
