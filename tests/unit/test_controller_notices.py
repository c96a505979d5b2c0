"""Notices: what people are told of an end, gathered from the record that tells it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.message import UpdateMessage
from tests.unit.builders import SHOP, at, container, digest, failure, good, message, record
from worker.controller.notices import notice_of
from worker.record.record import Record
from worker.record.values import Ending, Result

OLD = "acme/shop:1"


def ended(of: UpdateMessage, result: Result, now: Record, **more: Any) -> tuple[Record, Ending]:
    after = now.end(of, result, "so it was", ("web",), at(9), **more)
    return after, after.outbox[-1]


def test_it_says_who_what_where_why_and_how_long() -> None:
    of = message("2", pushed=-51, pusher="alice")
    notice = notice_of(*ended(of, "failed", record({"web": container()}), code="CrashLoop", log="boom"))
    assert (notice.outcome, notice.image, notice.target, notice.detail) == (
        "failed",
        "docker.io/acme/shop:2",
        "web/shop",
        "so it was",
    )
    assert (notice.group, notice.id, notice.at, notice.code) == (SHOP, "2", at(9), "CrashLoop")
    assert (notice.containers, notice.before) == (("web",), {"web": OLD})
    assert (notice.pusher, notice.by, notice.seconds, notice.log) == ("alice", None, 60, "boom")


def test_what_was_done_by_hand_was_done_by_somebody() -> None:
    of = message("2", sender="manual", pusher="bob")
    notice = notice_of(*ended(of, "updated", record({"web": container()})))
    assert (notice.pusher, notice.by) == (None, "bob")


def test_an_end_that_has_left_the_history_is_told_by_its_message() -> None:
    now, ending = ended(message("2", pusher="alice"), "failed", record({"web": container()}), code="C")
    notice = notice_of(now.but(outcomes=()), ending)
    assert (notice.id, notice.pusher, notice.seconds, notice.containers, notice.before) == ("2", "alice", 9, (), {})


def test_the_detail_is_that_of_the_end_where_several_were_folded() -> None:
    now, ending = ended(message("2"), "superseded", record({"web": container()}))
    assert notice_of(now, ending.but(detail="it was masked")).detail == "it was masked"


@pytest.mark.parametrize(
    ("result", "containers", "of", "expected"),
    [
        # What runs now is what the tag stood for.
        ("updated", [good("2", digest=digest("new")), good("1")], message("2", digest=digest("hook")), digest("new")),
        ("updated", [good("1", digest=digest("old"))], message("2", digest=digest("hook")), digest("hook")),
        ("updated", [good("1", digest=digest("old"))], message("2"), None),
        # What failed under a tag that moved is not what ran well under it.
        ("failed", [good("2", digest=digest("old"))], message("2"), None),
    ],
)
def test_the_digest_is_that_of_the_push(result: Result, containers: list[Any], of: Any, expected: str | None) -> None:
    before = record({"web": container(goods=tuple(containers))})
    assert notice_of(*ended(of, result, before)).digest == expected


def test_the_digest_of_a_failed_push_is_the_one_that_was_tried() -> None:
    of = message("2", digest=digest("hook"))
    failed = failure(of, digest=digest("tried"))
    assert notice_of(*ended(of, "failed", record({"web": container(failures=(failed,))}))).digest == digest("tried")


def test_what_ran_before_has_its_digest_where_it_is_known() -> None:
    old, new = good("1", image=OLD, digest=digest("old")), good("1", image=OLD, digest=digest("new"))
    of = message("1", digest=digest("new"))
    after = record({"web": container(goods=(new, old))})
    notice = notice_of(*ended(of, "updated", after, before={"web": OLD}))
    assert (notice.digest, notice.before) == (digest("new"), {"web": f"{OLD}@{digest('old')}"})


@pytest.mark.parametrize("image", [OLD, f"acme/shop@{digest('old')}"])
def test_what_ran_before_is_as_it_was_where_its_digest_is_not_known_or_part_of_it(image: str) -> None:
    goods = (good("1", image=image, digest=digest("old") if "@" in image else None),)
    notice = notice_of(*ended(message("2"), "updated", record({"web": container(goods=goods)}), before={"web": image}))
    assert notice.before == {"web": image}


def test_what_ran_before_in_a_container_that_is_gone_is_told_all_the_same() -> None:
    now, ending = ended(message("2"), "failed", record({"web": container()}))
    assert notice_of(now.but(containers={}), ending).before == {"web": OLD}
