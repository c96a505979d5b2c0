"""The last lines of crashed containers in a record: bounded, redacted, and gone once their pushes' ends are told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import at, message, record
from worker.record.crash_logs import LONGEST_LOG, MOST_LOGS, with_logs
from worker.record.record import Record
from worker.record.values import Ending, Undone


def undone(of: str, log: str | None = None) -> Undone:
    return Undone(message=message(of), code="CrashLoop", detail="it crashes", containers=("web",), log=log)


def ended(of: str, log: str | None = None, result: Any = "failed") -> Ending:
    return Ending(message=message(of), result=result, detail="it crashes", code="CrashLoop", at=at(9), log=log)


def logs(of: Record) -> dict[str, str | None]:
    return {failed.message.id: failed.log for failed in of.undone} | {
        ending.message.id: ending.log for ending in of.outbox
    }


def test_they_are_kept_for_the_pushes_that_failed_and_are_not_told_yet() -> None:
    now = record(
        undone=(undone("1"), undone("2", "before")), outbox=(ended("3"), ended("4"), ended("5", result="updated"))
    )
    after = with_logs(now, {name: f"boom {name}" for name in "12356"})
    assert logs(after) == {"1": "boom 1", "2": "before", "3": "boom 3", "4": None, "5": None}
    assert with_logs(after, {}) == after


@pytest.mark.parametrize(("text", "kept"), [("", None), ("x" * 99_999, LONGEST_LOG)])
def test_each_is_bounded(text: str, kept: int | None) -> None:
    (log,) = logs(with_logs(record(undone=(undone("1"),)), {"1": text})).values()
    assert (log and len(log.encode())) == kept


def test_all_of_them_together_are_bounded_and_the_oldest_go_first() -> None:
    most = MOST_LOGS // LONGEST_LOG
    now = record(undone=tuple(undone(f"u{number}") for number in range(most)), outbox=(ended("e0"), ended("e1")))
    after = with_logs(now, dict.fromkeys(logs(now), "x" * LONGEST_LOG))
    assert [name for name, log in logs(after).items() if log is None] == ["u0", "u1"]
    many = record(outbox=tuple(ended(f"e{number}") for number in range(most + 1)))
    after = with_logs(many, dict.fromkeys(logs(many), "x" * LONGEST_LOG))
    assert [name for name, log in logs(after).items() if log is None] == ["e0"]


def test_a_secret_that_is_learnt_later_is_redacted_in_them() -> None:
    now = record(undone=(undone("1", "it was hunter2"), undone("2")), outbox=(ended("3", "hunter2"),))
    assert logs(now.redacted(lambda text: text.replace("hunter2", "***"))) == {"1": "it was ***", "2": None, "3": "***"}


@pytest.mark.parametrize("log", [7, ["boom"], None])
def test_a_log_of_another_kind_makes_no_record_unreadable(log: object) -> None:
    raw = record(undone=(undone("1"),), outbox=(ended("2"),)).model_dump(mode="json")
    raw["undone"][0]["log"] = raw["outbox"][0]["log"] = log
    assert Record.model_validate(raw) == record(undone=(undone("1"),), outbox=(ended("2"),))
