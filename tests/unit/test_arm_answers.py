"""What is read of Azure Resource Manager's answers: its clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from worker.adapters.arm.answers import ahead_of_ours


def test_azures_clock_may_be_decades_from_ours() -> None:
    assert ahead_of_ours("Fri, 01 Jan 2100 00:00:00 GMT") > timedelta(0)
    assert ahead_of_ours("Tue, 01 Jan 1980 00:00:00 GMT") < timedelta(0)


@pytest.mark.parametrize(
    "date",
    [
        None,
        "",
        "yesterday",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Thu, 01 Jan 2201 00:00:00 GMT",
    ],
)
def test_what_no_clock_of_azures_says_is_no_difference(date: str | None) -> None:
    assert ahead_of_ours(date) == timedelta(0)
