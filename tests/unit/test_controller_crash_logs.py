"""Crash logs: read before the rollback takes the crashed container away, without secrets, and never in the way."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.dead_letter import decode_letter
from shared.errors import RemoteError
from shared.masking import Masks
from shared.message import Look, TargetId
from tests.unit.builders import OLD, RULES, SHOP, TWO, message, record, timer
from tests.unit.controller_builders import LEASE, RETRY, Bench, chance, group_of
from worker.controller.crash_logs import LOOKED_THROUGH, MOST_CONTAINERS, RIGHT
from worker.controller.looking import Looking
from worker.controller.telling import Telling
from worker.core.rules import RolloutRules
from worker.policies.parse import parse_policy
from worker.record.crash_logs import LONGEST_LOG
from worker.record.record import Record
from worker.targets.target import ContainerRule, Target

LIVE = Look(target=SHOP, token="live", count=1)
FORBIDDEN = RemoteError("arm", 403, "AuthorizationFailed", "does not have authorization")
NOT_YET = RemoteError("arm", 404, "ContainerLogNotAvailable", "not available yet")
SLOW = RemoteError("arm", None, "Timeout", "no answer in time")
BROKEN = RemoteError("arm", 502, "BadGateway", "no log")
WITH_SECRETS = Target(SHOP, {"web": ContainerRule(parse_policy("any"))}, secrets={"env/web/KEY": "env:KEY"})


class Crash(Bench):
    """A group whose push of `images` is being watched. Each container prints `output`, and crashes."""

    def __init__(self, output: str = "boom\n", *, behaviour: str = "crash-loop", **rest: Any) -> None:
        pushes = tuple(rest.pop("pushes", (TWO,)))
        super().__init__(record(inbox=pushes, timer=timer(0), count=1), rest.pop("images", OLD), **rest)
        self.azure.options(back_off_seconds=100)
        self.azure.image("acme/*:2", behaviour, output=output)
        self.looking = self.looks()

    def looks(self, lines: int = 50, rules: RolloutRules = RULES, **ports: Any) -> Looking:
        def read(target: TargetId, container: str, _deadline: float) -> str:
            return self.azure.last_lines(target, container, lines)

        def redact(text: str) -> str:
            return text.replace("hunter2", "***").replace("bell\x07tower", "***")

        plugged = self.ports(**({"last_lines": read, "redact": redact} | ports))
        return Looking(plugged, rules, RETRY, Telling(plugged), lease=LEASE, chance=chance())

    def look(self, seconds: float = 0) -> None:
        self.clock.advance(seconds)
        self.looking.look(LIVE, lambda: True)

    def rolled_back(self) -> list[str | None]:
        """Let the push crash, the group be rolled back and the end be told. Gives the logs of the dead letters."""
        self.look()
        self.look(20)
        self.look(20)
        self.look(60)
        self.look(60)
        assert self.images == OLD
        return [letter.log for letter in self.letters]


class TestTheLines:
    def test_they_are_read_before_the_rollback_and_kept_until_the_end_is_told(self) -> None:
        crash = Crash("starting\nboom\n")
        assert crash.rolled_back() == ["starting\nboom"]
        changes = [call for call in crash.calls if call in {"before put", "before logs", "after save"}]
        first, read, second = (
            changes.index("before put"),
            changes.index("before logs"),
            changes.index("before put", changes.index("before logs")),
        )
        assert first < read < second
        # What was read is in the record before the rollback: a worker that dies after it has not lost the lines.
        assert "after save" in changes[read:second]
        assert changes.count("before logs") == 1
        assert [(notice.outcome, notice.log) for notice in crash.told] == [("rolled-back", "starting\nboom")]

    def test_only_the_last_ones_are_asked_for(self) -> None:
        crash = Crash("".join(f"line {number}\n" for number in range(100)))
        crash.looking = crash.looks(lines=2)
        assert crash.rolled_back() == ["line 98\nline 99"]

    def test_what_is_too_long_is_cut_from_the_front(self) -> None:
        crash = Crash("".join(f"{'x' * 200} {number}\n" for number in range(100)))
        (log,) = crash.rolled_back()
        assert log is not None
        assert log.startswith("[…]\nxxx")
        assert log.endswith("x 99")
        assert len(log.encode()) <= LONGEST_LOG

    def test_a_push_that_azure_can_not_pull_has_no_lines_and_none_are_read(self) -> None:
        crash = Crash(behaviour="unpullable")
        crash.rolled_back()
        assert "before logs" not in crash.calls

    def test_without_a_rollback_they_are_in_the_dead_letter_as_well(self) -> None:
        crash = Crash("boom\n")
        crash.looking = crash.looks(rules=replace(RULES, rollback=False))
        crash.look()
        crash.look(20)
        assert [letter.log for letter in crash.letters] == ["boom"]

    def test_each_of_several_pushes_has_those_of_its_own_container(self) -> None:
        images = {f"c{number}": f"acme/c{number}:1" for number in range(3)}
        pushes = [message("2", name=f"c{number}", repository=f"acme/c{number}") for number in range(2)]
        rules = {name: ContainerRule(parse_policy("any")) for name in images}
        crash = Crash(images=images, pushes=pushes, target=Target(SHOP, rules))
        for number in range(2):
            crash.azure.image(f"acme/c{number}:2", "crash-loop", output=f"boom {number}")
        crash.look()
        crash.look(20)
        assert {undone.message.id: undone.log for undone in crash.record.undone} == {"c0": "boom 0", "c1": "boom 1"}

    def test_of_a_great_many_containers_only_some_are_read(self) -> None:
        names = [f"c{number}" for number in range(MOST_CONTAINERS + 3)]
        definition = group_of(dict.fromkeys(names, "acme/shop:1"))
        crash = Crash("boom\n", images=None, definition=definition)
        crash.look()
        crash.look(20)
        assert crash.calls.count("before logs") == MOST_CONTAINERS
        (undone,) = crash.record.undone
        assert undone.log == "\n".join(f"--- {name} ---\nboom" for name in names[:MOST_CONTAINERS])

    def test_many_long_ones_share_the_room(self) -> None:
        names = [f"c{number}" for number in range(3)]
        crash = Crash("x" * 50_000, images=None, definition=group_of(dict.fromkeys(names, "acme/shop:1")))
        crash.look()
        crash.look(20)
        (undone,) = crash.record.undone
        assert undone.log is not None
        assert len(undone.log.encode()) <= LONGEST_LOG
        assert [line for line in undone.log.splitlines() if line.startswith("---")] == [f"--- {n} ---" for n in names]


class TestSecrets:
    @pytest.mark.parametrize(
        ("printed", "kept"),
        [
            ("the key is hunter2!", "the key is ***!"),
            ("the key is hun\x1b[31mter2!", "the key is ***!"),
            ("\x1b]0;title\x07red\r\n", "red"),
            ("it is bell\x07tower.\nnext", "***\nnext"),
            ("db: postgres://app:s3cret@db/shop", "db: postgres://app:***@db/shop"),
            ("x" * (LOOKED_THROUGH - 20) + "\nhunter2\nboom", "***\nboom"),
        ],
    )
    def test_none_is_left_in_any_form(self, printed: str, kept: str) -> None:
        crash = Crash(printed)
        (log,) = crash.rolled_back()
        assert log is not None
        assert log.endswith(kept)
        assert "hunter2" not in f"{crash.records._blobs}{crash.poison.texts}"

    def test_one_that_a_colour_has_split_is_found_whole(self) -> None:
        # Regression: the longer half was masked first, and then nothing told that the other was half of a secret.
        secret = "aHVudGVyMjItc3RvcmFnZQ=="
        crash = Crash(f"key {secret[:9]}\x1b[1m{secret[9:]}\n")
        crash.looking = crash.looks(redact=Masks([secret]))
        assert crash.rolled_back() == ["key ***"]

    def test_those_of_the_group_are_read_first_so_that_they_can_be_masked(self) -> None:
        crash = Crash("KEY=the value of env:KEY\n", target=WITH_SECRETS)
        known: set[str] = set()

        def resolve(sources: dict[str, str]) -> dict[str, str]:
            values = crash._resolve(sources)
            known.update(values.values())
            return values

        def redact(text: str) -> str:
            for value in known:
                text = text.replace(value, "***")
            return text

        crash.looking = crash.looks(resolve=resolve, redact=redact)
        assert crash.rolled_back() == ["KEY=***"]

    def test_without_them_no_line_is_kept(self) -> None:
        crash = Crash("KEY=the value of env:KEY\n", target=WITH_SECRETS)
        crash.on("resolve", RemoteError("key vault", 503, "Http503", "down"))
        assert crash.rolled_back() == [None]
        assert "before logs" not in crash.calls


class TestNeverInTheWay:
    @pytest.mark.parametrize("error", [FORBIDDEN, NOT_YET, SLOW, BROKEN, ValueError("a bug")], ids=str)
    def test_whatever_goes_wrong_the_group_is_rolled_back_without_them(self, error: Exception) -> None:
        crash = Crash()
        crash.on("logs", error)
        assert crash.rolled_back() == [None]
        assert crash.calls.count("before put") == 2
        assert "log" not in decode_letter(crash.poison.texts[0]).model_dump()

    def test_nothing_is_read_where_nobody_wants_it(self) -> None:
        crash = Crash(target=WITH_SECRETS)
        crash.looking = crash.looks(last_lines=None)
        assert crash.rolled_back() == [None]
        assert "before logs" not in crash.calls
        assert crash.resolved == []

    def test_a_missing_right_is_said_once_and_names_the_action(self) -> None:
        crash = Crash()
        with capture_logs() as lines:
            for number, tag in enumerate(("2", "3", "4")):
                crash.azure.image(f"acme/*:{tag}", "crash-loop")
                pushed = message(tag, pushed=number)
                crash.rewrite(partial(Record.but, inbox=(pushed,), timer=timer(0), count=1))
                crash.on("logs", FORBIDDEN)
                crash.rolled_back()
        assert crash.calls.count("before logs") == 3
        said = [line for line in lines if "last lines" in line["event"]]
        assert [(line["log_level"], line["missing_action"]) for line in said] == [("warning", RIGHT)]
        assert RIGHT == "Microsoft.ContainerInstance/containerGroups/containers/logs/read"

    @pytest.mark.parametrize(("error", "reads"), [(NOT_YET, 3), (SLOW, 1), (FORBIDDEN, 1)], ids=["404", "slow", "403"])
    def test_what_one_container_lacks_the_next_may_have_but_an_outage_is_asked_once(
        self, error: Exception, reads: int
    ) -> None:
        crash = Crash(images=None, definition=group_of(dict.fromkeys("abc", "acme/shop:1")))
        crash.on("logs", error)
        crash.look()
        crash.look(20)
        assert crash.calls.count("before logs") == reads
        (undone,) = crash.record.undone
        assert undone.log == ("--- b ---\nboom\n--- c ---\nboom" if reads == 3 else None)
