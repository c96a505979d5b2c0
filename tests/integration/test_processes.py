"""What the tests themselves stand on: the ports of the programs that they start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import processes
from tests.processes import PROJECT, free_ports

ASK_FOR_THE_SAME = """
from tests import processes
processes._PORTS = {ports}
print(processes.free_ports(3))
"""


def test_a_port_is_given_once_among_all_test_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Regression: of two processes that found the same port free, one could not listen on it seconds later.
    ours = free_ports(3)
    script = ASK_FOR_THE_SAME.format(ports=ours)
    other = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert other.stdout == "[]\n"
    monkeypatch.setattr(processes, "_PORTS", ours)
    assert free_ports(3) == []
