"""Memory: the ingress's command leaves the C library one heap, however many threads allocate."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys, tempfile, threading
from ingress.__main__ import main

if sys.argv[1] == "command":
    try:
        main(["--port", "1"], standalone_mode=False)
    except SystemExit as end:
        assert end.code == 2  # there are no settings
every_one_is_there = threading.Barrier(8)
held = []

def allocate():
    held.append([bytes(5000) for _ in range(10)])
    every_one_is_there.wait()

threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
with tempfile.NamedTemporaryFile() as file:
    stream = libc.fopen(file.name.encode(), b"w")
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(file.read().count(b"<heap nr="))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="not glibc")
def test_the_ingress_has_one_heap_for_all_its_threads() -> None:
    assert heaps("nothing") > 1
    assert heaps("command") == 1


def heaps(what: str) -> int:
    """The heaps of a process in which eight threads allocated at the same time, after `what`."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, what], env={}, capture_output=True, text=True, check=True)
    return int(done.stdout)
