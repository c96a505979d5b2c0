"""Text for people: nothing in it that a terminal obeys."""

from __future__ import annotations

import pytest

from shared.push import Push
from shared.text import printable


@pytest.mark.parametrize("text", ["", "ann", "Jenkins ß", "日本 語", "a�b"])
def test_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("bad", ["\x1b", "\n", "\r", "\0", "\x9b", "\u202e", "\u2028", "\ud800", "\u200b", "\t"])
def test_what_a_terminal_obeys_is_replaced(bad: str) -> None:
    assert printable(f"a{bad}b") == "a�b"


def test_a_pusher_cannot_write_onto_a_terminal() -> None:
    push = Push(sender="s", registry="r.test", repository="a/b", tag="1", pusher="\x1b]0;x\x07" * 40)
    assert push.pusher
    assert push.pusher.isprintable()
    assert Push.model_validate_json(push.model_dump_json()) == push
