"""The targets file on disk, read again when it changes; a broken new version leaves the old one in force."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from worker.targets.file import Mistake, TargetsError, TargetsFile, parse_targets

_Stamp = tuple[int, int, int, int]


class TargetsSource:
    """The targets file at `path`. Raises TargetsError if its first version is unreadable or broken.

    `report` is called once for each later version, with what it says or, if it is broken, all its problems, from the
    thread that found it. Any thread may ask for `current`, as often as it likes: the file is looked at once in
    `interval` seconds.
    """

    def __init__(
        self,
        path: Path,
        default_subscription: str | None,
        report: Callable[[TargetsFile | TargetsError], None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        interval: float = 1.0,
    ) -> None:
        self._path = path
        self._default_subscription = default_subscription
        self._report = report
        self._monotonic = monotonic
        self._interval = interval
        self._lock = threading.Lock()
        self._looked_at = monotonic()
        # The stamp first: if the file changes after this line, the next look sees it.
        self._stamp: _Stamp | None = self._look()
        text = self._read()
        self._seen: str | None = text
        """The newest version that could be read, valid or not; None after one that could not."""
        self._file = self._parse(text)

    def current(self) -> TargetsFile:
        """The newest valid version."""
        now = self._monotonic()
        is_due = now - self._looked_at >= self._interval
        # Whoever comes while another thread is at it takes the version before, and does not wait for the disk.
        if is_due and self._lock.acquire(blocking=False):
            try:
                self._looked_at = now
                self._refresh()
            except TargetsError as error:
                self._report(error)
            finally:
                self._lock.release()
        return self._file

    def _refresh(self) -> None:
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            text = self._read()
        except TargetsError:
            # Whatever can be read next is then reported, even the version that is still in force: it ends the trouble.
            self._seen = None
            raise
        was_only_touched = text == self._seen
        if was_only_touched:
            return
        self._seen = text
        self._file = self._parse(text)
        self._report(self._file)

    def _look(self) -> _Stamp | None:
        """What differs between two versions of the file, an atomic replacement included; None if it is not there."""
        try:
            stat = self._path.stat()
        except OSError:
            return None
        # The time of the last change alone is tempting, but a file may be replaced by one with the same time.
        return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino

    def _read(self) -> str:
        try:
            return self._path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            problem = f"not UTF-8 at byte {error.start}"
        except OSError as error:
            problem = f"can't be read: {error.strerror}"
        raise TargetsError(str(self._path), [Mistake(None, "", problem)])

    def _parse(self, text: str) -> TargetsFile:
        return _parsed(text, self._default_subscription, str(self._path))


@lru_cache(maxsize=1)
def _parsed(text: str, default_subscription: str | None, name: str) -> TargetsFile:
    """The same text is not parsed twice, which `check` would do: hundreds of groups take a while."""
    return parse_targets(text, default_subscription, name)
