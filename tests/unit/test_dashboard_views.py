"""What the page shows of a state: trouble first, what is wanted, why, how old it is, and what could not be read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.dead_letter import DeadLetter
from shared.message import TargetId, UpdateMessage
from tests.unit.builders import API, SHOP, TWO, Json, at, candidate, change, container, group, message, record
from worker.core.names import names_of
from worker.dashboard.groups_view import LABELS, GroupRow
from worker.dashboard.state import LETTERS, QUEUE, RECORDS, TARGETS, Reading, Seen, State
from worker.dashboard.views import ENDS, GROUPS, LETTERS_SHOWN, LINES, MOST, Page, Wish, letter_of, page_of
from worker.failures.advice import what_to_do
from worker.groups.group import ContainerGroup
from worker.policies.parse import parse_policy
from worker.record.record import Record
from worker.record.trace import End, Trace
from worker.record.values import Hold, Outcome
from worker.targets.target import ContainerRule, Target

IMAGES = {"web": "acme/shop:1", "proxy": "nginx:1"}
NOW = at(3600)
RULES = Target(SHOP, {"web": ContainerRule(parse_policy("semver:minor"))})
HOSTILE = "<script>\x1b[31m\u202e"


def seen(now: Record | None = None, of: ContainerGroup | None = None, target: TargetId = SHOP, **rest: Any) -> Seen:
    plain: Json = {"rules": RULES, "of_record": Reading(at=at(3599)), "of_group": Reading(at=at(3599))}
    return Seen(target, now or record(), of or group(IMAGES), **(plain | rest))


def state(*groups: Seen, **rest: Any) -> State:
    readings = {what: Reading(at=at(3599)) for what in (TARGETS, RECORDS, QUEUE, LETTERS)}
    records = {item.target: item.record for item in groups if item.record}
    plain: Json = {
        "seen": {item.target: item for item in groups},
        "records": records,
        "readings": readings,
        "messages": 3,
    }
    return State(**(plain | {"dead": len(rest.get("letters", ()))} | rest))


def page(of: State, **wish: Any) -> Page:
    return page_of(of, NOW, Wish(**wish), rollback=True)


def row(one: Seen) -> GroupRow:
    (found,) = page(state(one)).rows
    return found


def letter(of: UpdateMessage | str = TWO, **rest: Any) -> DeadLetter:
    plain: Json = {"reason": "rolled back", "code": "CrashLoop", "detail": "exit 1", "attempts": 1}
    times = {"first_received_at": at(0), "dead_lettered_at": at(5)}
    return DeadLetter(**(plain | times | {"message": of} | rest))


class TestGroups:
    def test_a_quiet_one(self) -> None:
        found = row(seen())
        (web, proxy) = found.containers
        assert (found.name, found.word, found.label) == ("web/shop", "ok", "OK")
        assert (web.image.name, web.image.tag, web.health, web.policy) == ("acme/shop", ":1", "healthy", "semver:minor")
        assert (proxy.policy, proxy.wanted, proxy.restarts) == (None, None, "")
        assert (found.problem, found.rollout, found.held, found.waiting, found.last, found.as_of) == (None,) * 6

    def test_what_is_wanted_is_told_until_it_runs(self) -> None:
        wanting = record({"web": container(candidate(TWO))})
        assert [item.wanted.tag for item in row(seen(wanting)).containers if item.wanted] == [":2"]
        running = seen(wanting, group({"web": "acme/shop:2"}))
        assert [item.wanted for item in row(running).containers] == [None]

    def test_nothing_is_known_to_be_wanted_of_what_is_not_read(self) -> None:
        assert Seen(SHOP, record(), None).wanted(rollback=True) == {}
        assert Seen(SHOP, None, group(IMAGES)).wanted(rollback=True) == {}

    def test_a_rollout_as_it_moves(self) -> None:
        found = row(seen(record({"web": container(candidate(TWO))}, change=change(since=3000))))
        assert (found.rollout, found.phase, found.word) == ("acme/shop:2", "an update is watched", "rolling out")
        assert found.since is not None
        assert found.since.ago == "10 min ago"

    def test_what_keeps_it_back_and_what_waits(self) -> None:
        waiting = [candidate(message(str(number))) for number in range(2, 7)]
        held = record({"web": container(*waiting)}, hold=Hold(reason="sale", since=at(0), by="ann"))
        found = row(seen(held))
        assert found.held == "held by hand: sale (ann)"
        assert found.waiting is not None
        assert found.waiting.startswith("docker.io/acme/shop:")
        assert found.waiting.endswith("; 2 more")

    def test_why_the_last_push_failed(self) -> None:
        found = row(seen(record().end(TWO, "failed", "it crashed", (), at(0))))
        assert (found.last, found.last_detail, found.word) == ("failed", "it crashed", "failed")
        assert row(seen(record().end(TWO, "updated", "it runs", (), at(0)))).last_detail is None

    def test_one_that_nobody_has_read_yet(self) -> None:
        found = row(Seen(SHOP))
        assert (found.word, found.containers, found.address) == ("reading", (), None)

    def test_one_that_cannot_be_read_is_trouble_and_shows_what_is_known(self) -> None:
        lost = Reading(at=at(3000)).failed("arm: down", at(3590))
        found = row(seen(of_group=lost))
        assert (found.word, found.problem, found.containers[0].image.tag) == ("TROUBLE", "arm: down", ":1")
        assert found.as_of is not None
        assert found.as_of.ago == "10 min ago"

    def test_what_is_old_has_its_age(self) -> None:
        assert row(seen(of_group=Reading(at=at(3000)))).as_of is not None
        assert row(seen(of_group=Reading().failed("arm: down", at(3590)))).as_of is None

    def test_groups_in_trouble_come_first_and_are_counted(self) -> None:
        troubled = seen(record().but(target=API), target=API, of_group=Reading().failed("arm: down", at(1)))
        found = page(state(seen(), troubled))
        assert [item.word for item in found.rows] == ["TROUBLE", "ok"]
        assert (found.heading, found.sentence, found.needs_somebody) == ("1 in trouble", "1 trouble, 1 OK", True)
        assert found.title == "1 in trouble · aci-hooks"

    def test_the_order_is_that_of_status(self) -> None:
        assert [word for word in LABELS if word != "reading"] == [
            "TROUBLE",
            "failed",
            "rolling out",
            "held",
            "waits",
            "ok",
        ]

    @pytest.mark.parametrize(
        ("groups", "heading"),
        [
            ((), "No groups yet"),
            ((seen(),), "Nothing needs attention"),
            ((seen(record().end(TWO, "failed", "", (), at(0))),), "1 failed"),
        ],
    )
    def test_the_first_line(self, groups: tuple[Seen, ...], heading: str) -> None:
        assert page(state(*groups)).heading == heading

    def test_nothing_is_called_well_that_was_not_read(self) -> None:
        assert page(state(seen(), readings={QUEUE: Reading(error="down")})).heading == "Not everything could be read"
        assert page(state(seen(), Seen(API))).heading == "The groups are being read"
        left = page(state(seen(), letters=(letter(),)))
        assert (left.heading, left.needs_somebody) == ("1 dead letter to look at", True)
        assert not page(state(seen())).needs_somebody

    def test_what_others_wrote_is_made_printable(self) -> None:
        held = record(hold=Hold(reason=HOSTILE, since=at(0)))
        assert row(seen(held)).held == "held by hand: <script>\\x1b[31m\\u202e"


class TestManyGroups:
    MANY = state(*(seen(target=SHOP.model_copy(update={"container_group": f"g{n:03}"})) for n in range(GROUPS + 5)))

    def test_they_are_paged(self) -> None:
        first, second, beyond = page(self.MANY), page(self.MANY, number=2), page(self.MANY, number=99)
        assert (len(first.rows), len(second.rows), first.pages, first.total) == (GROUPS, 5, 2, GROUPS + 5)
        assert (beyond.number, page(self.MANY, number=-1).number) == (2, 1)

    def test_they_are_found_by_name_image_word_and_address(self) -> None:
        assert [item.name for item in page(self.MANY, query=" G007 ").rows] == ["web/g007"]
        assert page(self.MANY, query="acme/SHOP").found == GROUPS + 5
        assert page(self.MANY, query="ok").found == GROUPS + 5
        assert page(self.MANY, query="20.50").found == GROUPS + 5
        assert page(self.MANY, query="nothing like it").rows == ()

    def test_a_query_is_cut_and_made_printable(self) -> None:
        assert page(self.MANY, query=HOSTILE + "x" * 500).query.startswith("<script>\\x1b")
        assert len(page(self.MANY, query="x" * 500).query) == 100


class TestOneGroup:
    def test_it_alone_with_its_ends_and_letters(self) -> None:
        ours = record().end(TWO, "failed", "d" * 1000, (), at(0))
        theirs = seen(record().but(target=API).end(message("9"), "updated", "", (), at(1)), target=API)
        of_api = letter(message("9").model_copy(update={"target": API}))
        found = page(state(seen(ours), theirs, letters=(letter(), of_api, "raw")), group=SHOP)
        assert [item.name for item in found.rows] == ["web/shop"]
        assert (found.title, found.group) == ("web/shop · aci-hooks", found.rows[0])
        assert [end.detail for day in found.days for end in day.ends] == ["d" * 1000]
        assert [item.name for item in found.letters] == ["web/shop"]
        assert (found.rollouts, found.letters_left_out) == ((), 0)


class TestHistory:
    def test_by_day_newest_first(self) -> None:
        ends = record({"web": container()})
        for hours, tag in ((-30, "1"), (0, "2"), (0.5, "3")):
            ends = ends.end(message(tag, pusher="jana"), "updated", "", ("web",), at(hours * 3600))
        found = page(state(seen(ends)))
        assert [(day.date, len(day.ends)) for day in found.days] == [
            ("Thursday 2026-01-01", 2),
            ("Wednesday 2025-12-31", 1),
        ]
        newest = found.days[0].ends[0]
        assert (newest.image.tag, newest.before, newest.who, newest.key) == (":3", "1", "jana", SHOP.key)

    def test_what_no_target_runs(self) -> None:
        lost = End(
            outcome=Outcome.of(TWO, "ignored", "no target runs it", (), at(0)).but(seconds=None, before={"a": "x"})
        )
        (day,) = page(state(trace=Trace(ends=(lost,)))).days
        (end,) = day.ends
        assert (end.name, end.key, end.took, end.before) == ("(no target)", None, "", "x")

    def test_there_is_an_end(self) -> None:
        many = Trace(ends=tuple(End(outcome=Outcome.of(TWO, "ignored", "", (), at(0))) for _ in range(ENDS + 9)))
        assert sum(len(day.ends) for day in page(state(trace=many)).days) == ENDS


class TestLetters:
    def test_why_and_what_to_do(self) -> None:
        (found,) = page(state(letters=(letter(),))).letters
        assert (found.code, found.id, found.name, found.detail) == ("CrashLoop", TWO.id, "web/shop", "exit 1")
        assert (found.advice, found.log, found.group) == (what_to_do("CrashLoop"), "", SHOP.key)

    def test_the_last_lines_of_its_log(self) -> None:
        logged = letter(log="\n".join(f"line {number} {HOSTILE}" for number in range(10)))
        of = state(letters=(logged,))
        (found,) = page(of).letters
        assert found.log.splitlines()[-1] == "line 9 <script>\\x1b[31m\\u202e"
        assert (len(found.log.splitlines()), found.lines_left_out) == (LINES, 10 - LINES)
        whole = letter_of(of, NOW, found.key)
        assert whole is not None
        assert (len(whole.log.splitlines()), whole.lines_left_out) == (10, 0)
        assert '"code": "CrashLoop"' in whole.document

    def test_a_letter_that_is_gone_is_not_found(self) -> None:
        assert letter_of(state(), NOW, "0" * 16) is None

    def test_what_holds_no_message_we_know(self) -> None:
        raw, undecodable = letter("raw", code="Undecodable"), "\x1b[2J not ours \ud800"
        found = page(state(letters=(undecodable, raw))).letters
        assert [(item.code, item.id, item.name) for item in found] == [("Undecodable", None, "(no target)")] * 2
        assert [item.at is None for item in found] == [False, True]
        assert found[1].detail == "\\x1b[2J not ours \\ud800"

    def test_a_push_without_a_group(self) -> None:
        push = message("2").model_copy(update={"target": None, "kind": "push"})
        (found,) = page(state(letters=(letter(push),))).letters
        assert (found.name, found.group, found.id) == ("(no target)", None, TWO.id)

    def test_newest_first_and_no_more_than_fit(self) -> None:
        many = tuple(letter(message(str(n)), dead_lettered_at=at(n)) for n in range(LETTERS_SHOWN + 5))
        found = page(state(letters=many, dead=70))
        assert [item.id for item in found.letters[:2]] == [str(LETTERS_SHOWN + 4), str(LETTERS_SHOWN + 3)]
        assert (len(found.letters), found.letters_left_out) == (LETTERS_SHOWN, 70 - LETTERS_SHOWN)

    def test_a_long_detail_is_cut_on_the_overview(self) -> None:
        (found,) = page(state(letters=(letter(detail="d" * 3000),))).letters
        assert len(found.detail) == MOST


class TestWhatCouldNotBeRead:
    def test_nothing(self) -> None:
        found = page(state(seen()))
        assert (found.alerts, found.notes) == ((), ())
        assert found.read_at is not None
        assert found.read_at.ago == "1 s ago"

    def test_storage_with_the_age_of_what_is_shown(self) -> None:
        lost = Reading(at=at(3000)).failed("records: down", at(3590))
        now = state(seen())
        (alert,) = page(replace(now, readings={**now.readings, RECORDS: lost})).alerts
        assert alert == (
            "The records can't be read since 12:59:50 UTC; "
            "what is shown is from 12:50:00 UTC, 10 min ago: records: down"
        )

    def test_since_when_is_when_it_began(self) -> None:
        twice = Reading().failed("down", at(1)).failed("still down", at(2))
        assert (twice.since, twice.error, twice.at) == (at(1), "still down", None)
        assert twice.done(at(3)) == Reading(at=at(3))

    def test_what_was_never_read(self) -> None:
        now = state(seen(), readings={QUEUE: Reading(error="down")}, messages=None, dead=None)
        found = page(now)
        assert found.alerts == ("The queue can't be read; it was never read: down",)
        assert found.queue == "queue not read yet, dead letters not read yet"

    def test_groups_that_azure_does_not_show(self) -> None:
        lost = seen(of_group=Reading(at=at(3500)).failed("down", at(3590)))
        assert page(state(lost)).alerts == (
            "Azure does not show 1 of 1 group. What is shown of them is from 12:58:20 UTC, 1 min ago.",
        )
        never = Seen(SHOP, of_group=Reading().failed("down", at(1)))
        assert page(state(never)).alerts == ("Azure does not show 1 of 1 group. They were never read.",)

    def test_azure_that_does_not_answer_at_all(self) -> None:
        silent = seen(of_group=Reading(at=NOW - timedelta(minutes=5)))
        assert page(state(silent)).alerts == ("Azure has not answered since 12:55:00 UTC, 5 min ago.",)

    def test_groups_that_are_no_targets(self) -> None:
        assert page(state(unlisted=("web/x: the tag aci-hooks.polcy is unknown",))).notes == (
            "web/x: the tag aci-hooks.polcy is unknown",
        )

    def test_nothing_is_read_yet(self) -> None:
        found = page_of(State(), NOW, Wish(), rollback=True)
        assert (found.read_at, found.rows, found.heading) == (None, (), "The groups are being read")


class TestState:
    def test_it_is_read_once_every_group_was_asked_for(self) -> None:
        assert not State().is_read
        assert not state(seen(), Seen(API)).is_read
        assert state(seen()).is_read

    def test_a_viewer_sees_the_same_whenever_it_was_read(self) -> None:
        earlier = state(seen())
        later = state(seen(of_group=Reading(at=NOW)))
        assert earlier.fingerprint(rollback=True) == later.fingerprint(rollback=True)
        assert Seen(SHOP) != seen()
        assert state(Seen(SHOP)).fingerprint(rollback=True) != earlier.fingerprint(rollback=True)

    def test_one_more_reading_brings_something(self) -> None:
        noted = State().noted(QUEUE, Reading(at=at(1)), messages=7)
        assert (noted.messages, noted.reading(QUEUE), noted.reading(LETTERS)) == (7, Reading(at=at(1)), Reading())

    def test_statuses_are_in_order(self) -> None:
        found = state(seen(), seen(target=API, of_record=Reading(error="down"))).statuses
        assert [item.word for item in found] == ["TROUBLE", "ok"]

    def test_what_is_under_way_is_lively(self) -> None:
        assert not seen().is_lively
        assert not Seen(SHOP).is_lively
        assert seen(record(change=change())).is_lively
        assert seen(of=group(IMAGES, state="Updating")).is_lively


def test_two_groups_of_one_name_are_told_apart() -> None:
    other = SHOP.model_copy(update={"subscription": "other"})
    assert [names_of([SHOP, other])(item) for item in (SHOP, other)] == ["sub/web/shop", "other/web/shop"]
    assert names_of([SHOP])(SHOP) == "web/shop"
