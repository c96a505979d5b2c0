"""Texts of outside systems on the page: printable and cut; images in two parts; times with their age."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.unit.builders import at, digest
from worker.dashboard.words import ago, count_of, image_of, moment_of, shown

DIGEST = digest("one")


def test_nothing_moves_the_cursor_or_turns_the_text() -> None:
    assert shown("a\x1b[31m\u202eb\x00") == "a\\x1b[31m\\u202eb\\x00"


@pytest.mark.parametrize(("text", "cut"), [("12345", "12345"), ("123456", "1234…"), ("1234 56", "1234…")])
def test_what_is_long_is_cut(text: str, cut: str) -> None:
    assert shown(text, 5) == cut


@pytest.mark.parametrize(
    ("image", "name", "tag"),
    [
        ("acme/shop:1.2", "acme/shop", ":1.2"),
        ("registry:5000/acme/shop", "registry:5000/acme/shop", ""),
        ("registry:5000/acme/shop:v1", "registry:5000/acme/shop", ":v1"),
        (f"acme/shop@{DIGEST}", "acme/shop", f"@{DIGEST[:19]}"),
        (f"acme/shop:1@{DIGEST}", "acme/shop", f":1@{DIGEST[:19]}"),
        ("", "", ""),
    ],
)
def test_the_tag_of_an_image_stands_out(image: str, name: str, tag: str) -> None:
    found = image_of(image)
    assert (found.name, found.tag, found.whole) == (name, tag, image)


@pytest.mark.parametrize(("back", "text"), [(-5, "now"), (0.5, "now"), (61, "1 min ago"), (7200, "2 h 0 min ago")])
def test_how_long_ago_it_is(back: float, text: str) -> None:
    assert ago(at(-back), at(0)) == text


def test_only_another_days_time_has_a_date() -> None:
    assert moment_of(at(-60), at(0)).clock == "11:59:00"
    assert moment_of(at(0) - timedelta(days=1), at(0)).clock == "2025-12-31 12:00"


@pytest.mark.parametrize(
    ("written", "clock"),
    [("0001-01-01T00:00:00+14:00", "0001-01-01 00:00"), ("9999-12-31T23:59:59-14:00", "9999-12-31 23:59")],
)
def test_a_time_that_utc_has_no_date_for_is_shown_as_it_is_written(written: str, clock: str) -> None:
    # Without the zeros in front, which not every C library writes.
    assert moment_of(datetime.fromisoformat(written), at(0)).clock.lstrip("0") == clock.lstrip("0")


def test_counts() -> None:
    assert (count_of(1, "group"), count_of(2, "group")) == ("1 group", "2 groups")
