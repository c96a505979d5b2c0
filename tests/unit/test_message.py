"""The wire schema: messages and dead letters survive the queue, and nothing else passes for one."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pydantic import ValidationError

from shared.dead_letter import MAX_LETTER, DeadLetter, decode_letter, last_lines
from shared.message import MAX_MESSAGE, Look, TargetId, Undecodable, UpdateMessage, decode, from_base64, to_base64
from tests.unit.builders import SHOP, at, digest, message

FULL = message("2", digest=digest("x"), pusher="ann").model_copy(
    update={"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "attempts": 3, "dequeued": 4}
)


def letter(**changes: Any) -> DeadLetter:
    plain = {"reason": "r", "code": "c", "detail": "d", "attempts": 1, "message": FULL}
    return DeadLetter.model_validate(plain | {"first_received_at": at(0), "dead_lettered_at": at(9)} | changes)


def largest(beyond: int = 0) -> UpdateMessage:
    """A message of just so many bytes as a message may have, or of some more."""
    used = len(FULL.model_copy(update={"traceparent": ""}).model_dump_json())
    return FULL.model_copy(update={"traceparent": "x" * (MAX_MESSAGE // 4 * 3 - used + beyond)})


class TestTargetId:
    def test_two_spellings_of_one_group_are_equal(self) -> None:
        shouted = TargetId(subscription="SUB", resource_group="WEB", container_group="Shop")
        assert shouted == SHOP
        assert hash(shouted) == hash(SHOP)
        assert hash(shouted) != hash(TargetId(subscription="sub", resource_group="web", container_group="shop2"))
        assert (shouted.key, str(shouted)) == ("sub/web/shop", "WEB/Shop")

    def test_other_groups_and_other_things_are_not(self) -> None:
        other = TargetId(subscription="sub", resource_group="web", container_group="shop2")
        assert other != SHOP
        assert SHOP != "sub/web/shop"

    @pytest.mark.parametrize(("name", "other"), [("kube", "\u212aube"), ("\u00e5", "\u212b"), ("i\u0307", "\u0130")])
    def test_a_name_that_only_python_takes_for_another_spelling_is_another_one(self, name: str, other: str) -> None:
        assert other.lower() == name
        one, two = (TargetId(subscription="sub", resource_group=each, container_group="shop") for each in (name, other))
        assert one != two
        assert one.key != two.key
        assert (
            TargetId(subscription="sub", resource_group="STR\u00d6ME", container_group="a").key == "sub/str\u00f6me/a"
        )

    @pytest.mark.parametrize("name", ["web", "Web_1.2-(old)", "k\u00f6ln", "0000-01", "..a"])
    def test_a_name_is_one_that_azure_gives(self, name: str) -> None:
        assert TargetId(subscription="sub", resource_group=name, container_group="shop").resource_group == name

    @pytest.mark.parametrize(
        "name", ["", "a/b", "a\\b", "a b", "a\n", "x" * 129, ".", "..", "a.", "a\0b", "\x1b[1m", "%2e", "a?b", "\u202e"]
    )
    def test_a_name_is_one_segment_of_a_path(self, name: str) -> None:
        with pytest.raises(ValidationError):
            TargetId(subscription="sub", resource_group="web", container_group=name)


class TestUpdateMessage:
    def test_it_survives_the_queue(self) -> None:
        assert decode(FULL.encode()) == FULL

    def test_it_is_base64_of_json_in_the_published_shape(self) -> None:
        shape = json.loads(base64.b64decode(message("2").encode()))
        assert shape == {
            "schema": "aci-hooks/1",
            "id": "2",
            "kind": "rollout",
            "push": {
                "sender": "dockerhub",
                "registry": "docker.io",
                "repository": "acme/shop",
                "tag": "2",
                "digest": None,
                "pushed_at": "2026-01-01T12:00:00Z",
                "pusher": None,
            },
            "received_at": "2026-01-01T12:00:00Z",
            "traceparent": None,
            "target": {"subscription": "sub", "resource_group": "web", "container_group": "shop"},
        }

    def test_what_a_worker_adds_is_there_once_it_has(self) -> None:
        shape = json.loads(base64.b64decode(FULL.encode()))
        assert (shape["attempts"], shape["dequeued"]) == (3, 4)

    def test_fields_of_a_later_version_are_ignored(self) -> None:
        shape = json.loads(base64.b64decode(FULL.encode())) | {"mood": "fine"}
        assert decode(to_base64(json.dumps(shape))) == FULL

    def test_a_push_becomes_the_rollout_of_a_target_with_a_clean_slate(self) -> None:
        pushed = FULL.model_copy(update={"kind": "push", "target": None})
        assert pushed.for_target(SHOP) == FULL.model_copy(update={"attempts": 0, "dequeued": 0})

    def test_its_order_is_that_of_its_push(self) -> None:
        assert FULL.order == (at(0), at(0))

    def test_one_that_is_too_large_is_refused(self) -> None:
        assert len(largest().encode()) == MAX_MESSAGE
        with pytest.raises(ValueError, match=rf"^the message has 32772 bytes, more than {MAX_MESSAGE}$"):
            largest(beyond=1).encode()


class TestLook:
    LOOK = Look(target=SHOP, token="t", count=7)

    @pytest.mark.parametrize("more", [{}, {"attempts": 2, "trouble": "early", "waited": 1.5, "dequeued": 3}])
    def test_it_survives_the_queue(self, more: dict[str, Any]) -> None:
        look = self.LOOK.model_copy(update=more)
        assert decode(look.encode()) == look

    def test_it_is_written_without_what_it_does_not_need(self) -> None:
        assert json.loads(base64.b64decode(self.LOOK.encode())) == {
            "schema": "aci-hooks/1",
            "kind": "look",
            "target": {"subscription": "sub", "resource_group": "web", "container_group": "shop"},
            "token": "t",
            "count": 7,
        }

    def test_each_trouble_is_counted_for_as_long_as_it_goes_on(self) -> None:
        once = self.LOOK.met("Throttled")
        assert (self.LOOK.tries("Throttled"), once.tries("Throttled"), once.tries("other")) == (0, 1, 0)
        assert once.met("Throttled") == self.LOOK.model_copy(update={"attempts": 2, "trouble": "Throttled"})
        assert once.met("other") == self.LOOK.model_copy(update={"attempts": 1, "trouble": "other"})

    def test_a_long_trouble_is_cut_to_what_a_look_may_hold(self) -> None:
        look = self.LOOK.met("x" * 129)
        assert look.trouble == "x" * 128
        assert decode(look.encode()) == look


class TestTimes:
    """No time in a message may be more than a day after the queue got it: a forged one would outrank every push."""

    DAY = 86400

    @pytest.mark.parametrize(
        ("received", "pushed", "forged"),
        [
            (0, 0, None),
            (DAY, None, None),
            (DAY, DAY, None),
            (-99 * DAY, -99 * DAY, None),
            (DAY + 1, 0, "received_at: 2026-01-02 12:00:01+00:00"),
            (0, DAY + 1, "push.pushed_at: 2026-01-02 12:00:01+00:00"),
        ],
    )
    def test_a_time_of_the_future_is_refused(self, received: float, pushed: float | None, forged: str | None) -> None:
        pushed_at = None if pushed is None else at(pushed)
        made = message("2", pushed=received, pushed_at=pushed_at)
        if forged is None:
            assert decode(made.encode(), at(0)) == made
            return
        assert decode(made.encode()) == made
        with pytest.raises(Undecodable) as caught:
            decode(made.encode(), at(0))
        assert str(caught.value) == f"{forged} is more than a day after the message came onto the queue"

    def test_a_look_has_no_times(self) -> None:
        assert decode(TestLook.LOOK.encode(), at(0)) == TestLook.LOOK


class TestUndecodable:
    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("not base64!", "not base64"),
            ("Zm9", "not base64"),
            ("Zm9v!Zm9v", "not base64"),
            ("é", "not base64"),
            ("", "message: Invalid JSON"),
            (to_base64("{"), "message: Invalid JSON"),
            (to_base64("[]"), "message: "),
            (base64.b64encode(b"\xff\xfe").decode(), "message: Invalid JSON"),
            (to_base64(json.dumps({"schema": "aci-hooks/2"})), "schema: Input should be 'aci-hooks/1'; id: Field"),
        ],
    )
    def test_what_is_no_message_says_why(self, text: str, why: str) -> None:
        with pytest.raises(Undecodable) as caught:
            decode(text)
        assert str(caught.value).startswith(why)
        with pytest.raises(Undecodable):
            decode_letter(text)

    def test_a_rollout_names_its_target(self) -> None:
        shape = json.loads(base64.b64decode(FULL.encode()))
        del shape["target"]
        with pytest.raises(Undecodable, match="message: Value error, a rollout message must name its target"):
            decode(to_base64(json.dumps(shape)))

    def test_a_bad_part_is_named(self) -> None:
        shape = json.loads(base64.b64decode(FULL.encode()))
        shape["push"]["tag"] = "-x"
        with pytest.raises(Undecodable, match=r"push\.tag: Value error, '-x' is not a tag"):
            decode(to_base64(json.dumps(shape)))

    @pytest.mark.parametrize("name", ["attempts", "dequeued", "count", "waited"])
    @pytest.mark.parametrize("number", ["-1", "1e400", "Infinity", "NaN", "1" + "0" * 400, "9007199254740994"])
    def test_a_number_that_no_message_gets_to_is_refused(self, name: str, number: str) -> None:
        raw = (
            Look(target=SHOP, token="t", count=1).model_dump()
            if name in {"count", "waited"}
            else json.loads(from_base64(FULL.encode()))
        )
        text = json.dumps(raw | {name: 0}).replace(f'"{name}": 0', f'"{name}": {number}')
        with pytest.raises(Undecodable, match=f"{name}: "):
            decode(to_base64(text))

    def test_what_is_too_large_for_a_message_is_none_of_ours(self) -> None:
        # Regression: it did not fit into its own dead letter, whose detail was cut without end.
        assert decode(to_base64(FULL.model_dump_json() + " " * 100)) == FULL
        filled = FULL.model_dump_json()
        assert decode(to_base64(filled + " " * (MAX_MESSAGE // 4 * 3 - len(filled)))) == FULL
        with pytest.raises(Undecodable, match=r"^32772 bytes, more than the 32768 that a message may have$"):
            decode("x" * (MAX_MESSAGE + 4))

    def test_a_trace_is_no_place_to_write_much(self) -> None:
        with pytest.raises(Undecodable, match="traceparent: "):
            decode(to_base64(FULL.model_dump_json().replace("00-", "0" * 200)))

    def test_only_so_many_parts_are_named(self) -> None:
        with pytest.raises(Undecodable) as caught:
            decode_letter(to_base64("{}"))
        assert len(str(caught.value).split("; ")) == 5

    def test_bytes_come_back(self) -> None:
        assert from_base64(to_base64("héllo")) == "héllo".encode()


class TestDeadLetter:
    @pytest.mark.parametrize("of", [FULL, "raw text"])
    def test_it_survives_the_queue(self, of: UpdateMessage | str) -> None:
        assert decode_letter(letter(message=of).encode()) == letter(message=of)

    def test_it_holds_the_message_as_it_was(self) -> None:
        whole = json.loads(base64.b64decode(letter(message=message("2")).encode()))
        assert whole["message"] == json.loads(base64.b64decode(message("2").encode()))

    def test_a_long_detail_is_cut_to_fit(self) -> None:
        cut = decode_letter(letter(detail="ü" * MAX_LETTER).encode())
        assert cut.message == FULL
        assert cut.detail == "ü" * (MAX_LETTER // 32) + " […]"

    def test_a_detail_is_cut_by_what_it_takes_in_json(self) -> None:
        # Regression: cut to a fixed count of characters, of which each may take six bytes, it was cut without end.
        most = FULL.model_copy(update={"id": "x" * (MAX_MESSAGE // 4 * 3 - 700)})
        assert len(letter().model_copy(update={"message": most, "detail": "\x01" * MAX_LETTER}).encode()) <= MAX_LETTER
        cut = decode_letter(letter(detail="\x01" * MAX_LETTER).encode())
        assert cut.message == FULL
        assert cut.detail.endswith("\x01 […]")

    def test_a_code_of_any_length_is_cut_as_well(self) -> None:
        # Regression: cut in its detail alone, it was cut without end.
        text = letter(code="x" * MAX_LETTER, detail="why").encode()
        assert len(text) <= MAX_LETTER
        assert decode_letter(text).code == "x" * 128

    def test_a_detail_that_fits_stays_whole(self) -> None:
        room = MAX_LETTER // 4 * 3 - len(letter(detail="").model_dump_json())
        whole = letter(detail="x" * room)
        assert len(whole.encode()) == MAX_LETTER
        assert decode_letter(whole.encode()) == whole

    def test_without_a_log_it_has_no_such_member(self) -> None:
        assert "log" not in json.loads(base64.b64decode(letter().encode()))
        assert json.loads(base64.b64decode(letter(log="boom").encode()))["log"] == "boom"
        assert decode_letter(letter(log="boom").encode()).log == "boom"

    @pytest.mark.parametrize("log", [7, ["boom"], {"web": "boom"}])
    def test_a_log_of_another_kind_makes_no_letter_unreadable(self, log: object) -> None:
        raw = json.loads(base64.b64decode(letter().encode())) | {"log": log}
        assert decode_letter(to_base64(json.dumps(raw))) == letter()

    @pytest.mark.parametrize("character", ["x", "ü", '"', "\n"])
    def test_the_log_gives_way_to_the_message_and_to_the_detail(self, character: str) -> None:
        lines = "".join(f"{character * 99}{number}\n" for number in range(999))
        text = letter(detail="d" * 2000, log=lines).model_copy(update={"message": largest()}).encode()
        assert len(text) <= MAX_LETTER
        cut = json.loads(base64.b64decode(text))
        assert (cut["message"], cut["detail"]) == (json.loads(largest().model_dump_json()), "d" * 2000)
        assert cut["log"].startswith("[…]\n")
        assert cut["log"].endswith("998\n")

    def test_a_log_without_any_room_is_left_out(self) -> None:
        raw = "x" * (MAX_LETTER // 4 * 3 - len(letter(message="").model_dump_json()))
        assert decode_letter(letter(message=raw, log="boom").encode()) == letter(message=raw)

    def test_a_raw_message_too_large_for_an_envelope_goes_as_it_came(self) -> None:
        raw = "x" * MAX_LETTER
        assert letter(message=raw).encode() == raw


class TestLastLines:
    @pytest.mark.parametrize(
        ("text", "limit", "kept"),
        [
            ("one\ntwo", 7, "one\ntwo"),
            ("one\ntwo\nthree\n", 13, "[…]\nthree\n"),
            ("one\nthree.", 9, "[…]\nee."),
            ("ü" * 10, 9, "[…]\nü"),
            ("x\n" * 9, 7, "[…]\n\n"),
            ("one\ntwo", 6, ""),
            ("", 0, ""),
        ],
    )
    def test_they_are_whole_ones_as_far_as_there_is_room(self, text: str, limit: int, kept: str) -> None:
        assert last_lines(text, limit) == kept
        assert len(last_lines(text, limit).encode()) <= limit
