"""The targets file on disk: looked at now and then, read again when it changed, kept when it broke."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from worker.adapters.targets_source import TargetsSource
from worker.targets.file import TargetsError, TargetsFile

ANY = "discover: {resource_groups: [%s]}"


@dataclass
class Bench:
    """A file, a clock that is moved by hand, and the reports made."""

    path: Path
    now: float = 0.0
    reports: list[TargetsFile | TargetsError] = field(default_factory=list)

    def open(self) -> TargetsSource:
        return TargetsSource(self.path, "s", self.reports.append, monotonic=lambda: self.now)

    @property
    def problems(self) -> list[str]:
        return [str(report) for report in self.reports if isinstance(report, TargetsError)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    path = tmp_path / "targets.yaml"
    path.write_text(ANY % "one")
    return Bench(path)


def groups(source: TargetsSource) -> tuple[str, ...] | None:
    discover = source.current().discover
    return discover.resource_groups if discover else None


def _denied(_: Path) -> bytes:
    raise PermissionError(13, "Permission denied")


def test_a_changed_file_is_read_again_after_a_second(bench: Bench) -> None:
    source = bench.open()
    bench.path.write_text(ANY % "other")
    bench.now = 0.9
    assert groups(source) == ("one",)
    bench.now = 1.0
    assert groups(source) == ("other",)
    assert bench.reports == [source.current()]


def test_a_file_that_is_opened_twice_is_parsed_once(bench: Bench) -> None:
    # `check` opens it twice, and hundreds of groups take a while.
    assert bench.open().current() is bench.open().current()
    bench.path.write_text(ANY % "other")
    assert groups(bench.open()) == ("other",)


def test_an_unchanged_file_stays_the_same_value(bench: Bench) -> None:
    source = bench.open()
    before = source.current()
    for second in range(1, 4):
        bench.now = second
        assert source.current() is before
    os.utime(bench.path, (1, 1))
    bench.now = 9
    assert source.current() is before, "touched is not changed"


def test_a_replaced_file_is_read_again(bench: Bench) -> None:
    source = bench.open()
    new = bench.path.with_suffix(".new")
    new.write_text(ANY % "two")
    stat = bench.path.stat()
    os.utime(new, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    new.replace(bench.path)
    bench.now = 1
    assert groups(source) == ("two",), "of the same size and time, but another file"


def test_a_broken_version_is_reported_once_and_the_old_one_stays(bench: Bench) -> None:
    source = bench.open()
    bench.path.write_text("discovr: {}")
    for second in range(1, 5):
        bench.now = second
        assert groups(source) == ("one",)
    (problem,) = bench.problems
    assert problem.startswith(f"{bench.path}:1: discovr: unknown key")
    bench.path.write_text("targets: 7")
    bench.now = 5
    assert groups(source) == ("one",)
    assert len(bench.problems) == 2
    bench.path.write_text(ANY % "mended")
    bench.now = 6
    assert groups(source) == ("mended",)
    assert bench.reports[2:] == [source.current()]


def test_a_file_that_vanishes_is_reported_once_and_found_again(bench: Bench) -> None:
    source = bench.open()
    bench.path.unlink()
    for second in range(1, 4):
        bench.now = second
        assert groups(source) == ("one",)
    assert bench.problems == [f"{bench.path}: can't be read: No such file or directory"]
    bench.path.write_text(ANY % "one")
    bench.now = 4
    assert groups(source) == ("one",)
    assert bench.reports[1:] == [source.current()], "it is told that the file is correct again"


def test_a_file_that_may_be_read_at_last_is_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # Regression: a change of its mode alone was no change.
    source = bench.open()
    bench.path.write_text(ANY % "two")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", _denied)  # root may read everything
        bench.now = 1
        assert groups(source) == ("one",)
    bench.path.chmod(0o600)
    bench.now = 2
    assert groups(source) == ("two",)


def test_the_first_version_must_be_good(bench: Bench) -> None:
    bench.path.write_bytes(b"\xff")
    with pytest.raises(TargetsError, match="not UTF-8 at byte 0"):
        bench.open()
    bench.path.unlink()
    with pytest.raises(TargetsError, match="can't be read"):
        bench.open()


def test_a_byte_order_mark_is_no_part_of_the_text(bench: Bench) -> None:
    bench.path.write_bytes(b"\xef\xbb\xbf" + (ANY % "one").encode())
    assert groups(bench.open()) == ("one",)


def test_who_comes_while_another_thread_reads_gets_the_old_version(bench: Bench) -> None:
    seen: list[tuple[str, ...] | None] = []

    def report(_: TargetsFile | TargetsError) -> None:
        bench.now += 5
        seen.append(groups(source))  # as another thread would, while the first holds the reading

    source = TargetsSource(bench.path, "s", report, monotonic=lambda: bench.now)
    bench.path.write_text("{")
    bench.now = 1
    source.current()
    assert seen == [("one",)]
