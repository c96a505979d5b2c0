"""Unescaping: what a text says behind its escapes, and where that stood."""

from __future__ import annotations

import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.unescaping import unescaped


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (r"a\u002Bb\u002bc", "a+b+c"),
        (r"\/\"\'\\", "/\"'\\"),
        (r"\b\f\n\r\t", "\b\f\n\r\t"),
        (r"\x1b\xE4", "\x1bä"),
        (r"\ud83d\ude00!", "😀!"),
        (r"\ud83d!", "\ufffd!"),
        ("%2f%2F%25", "//%"),
        ("%C3%A4%F0%9F%98%80", "ä😀"),
        ("%ff%c3", "\ufffd\ufffd"),
        ("&amp;&#39;&#x2F;&quot;&lt;&gt;&apos;", "&'/\"<>'"),
        (r"\\u002B", r"\u002B"),
    ],
)
def test_one_layer_of_escapes_is_taken_off(text: str, said: str) -> None:
    layer = unescaped(f"x{text}y")
    assert layer is not None
    assert layer.text == f"x{said}y"
    assert len(layer.places) == len(layer.text) + 1
    assert (layer.places[0], layer.places[1], layer.places[-2:]) == (0, 1, [len(text) + 1, len(text) + 2])


@pytest.mark.parametrize("text", ["", "hunter2", "100% & more", "C:\\data", "%zz", "&nbsp;", "\\u12", "&#12345678;"])
def test_what_is_not_escaped_has_no_other_layer(text: str) -> None:
    assert unescaped(text) is None


@given(st.text(alphabet="ab/+&<>'\"\\ä😀 %", min_size=1))
def test_what_encoders_write_is_read_again(text: str) -> None:
    for encoded in (json.dumps(text)[1:-1], quote(text, safe=""), html.escape(text)):
        layer = unescaped(encoded)
        if layer is None:
            assert encoded == text
            continue
        # Characters that an encoder leaves as they are may look like an escape of another one.
        assert set(layer.places) <= set(range(len(encoded) + 1))
        assert sorted(layer.places) == layer.places
