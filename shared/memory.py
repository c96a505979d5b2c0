"""Memory of a process that runs for months: what is freed goes back to the system.

By default glibc gives each thread a heap of its own, and learns from large blocks to keep ever larger ones. Requests of
many sizes then leave holes that are never returned: the process grows for hours although Python holds no more objects.
"""

from __future__ import annotations

import ctypes

# Parameters of mallopt (man7.org/linux/man-pages/man3/mallopt.3.html). The lock of Python's interpreter lets one thread
# allocate at a time, so one heap costs no speed. A fixed threshold keeps glibc from raising it by itself.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_KIB = 1024


def return_freed_memory() -> None:
    """Make glibc use one heap and return large blocks at once. Call it before any thread starts.

    Other C libraries have no such parameters, and nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, 64 * _KIB)
        mallopt(_TRIM_THRESHOLD, 128 * _KIB)
