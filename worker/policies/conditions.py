"""Conditions that can't be read from a tag: the platforms an image is built for, and how long ago it was pushed."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9]+(?:/[a-z0-9.]+)?")
_AGE = re.compile(
    r"(?:([0-9]{1,4})d)?(?:([0-9]{1,4})h)?(?:([0-9]{1,4})m)?(?:([0-9]{1,5})s)?"
)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must be true besides the tag's place in the order; None means no condition.

    `platform` is written as in `docker pull --platform`: os/architecture[/variant].
    """

    platform: str | None = None
    min_age: timedelta | None = None

    def too_young(self, pushed_at: datetime, now: datetime) -> str | None:
        """Why an image that was pushed at this time must still wait; None if it need not."""
        age = now - pushed_at
        if self.min_age is None or age >= self.min_age:
            return None
        # The sender's clock has written the time of the push, which may lie in the future by ours.
        shown = spell_age(max(age, timedelta()))
        return f"pushed {shown} ago, and min_age is {spell_age(self.min_age)}"

    def not_built_for(self, platforms: Collection[str]) -> str | None:
        """Why an image that is built for these platforms is not rolled out; None if it is built for the right one."""
        wanted = self.platform
        if wanted is None or any(_includes(wanted, offered) for offered in platforms):
            return None
        built_for = ", ".join(sorted(platforms)) or "no platform"
        return f"built for {built_for}, and not for {wanted}"


UNCONDITIONAL = Conditions()


def parse_platform(text: str) -> str:
    """The platform as it is; ValueError says what is wrong with it."""
    if not _PLATFORM.fullmatch(text):
        raise ValueError(
            "a platform is written linux/amd64, linux/arm64/v8 or windows/amd64"
        )
    return text


def parse_age(text: str) -> timedelta:
    """Read `2h`, `1d`, `1h30m`, `45s`; ValueError says what is wrong with it."""
    match = _AGE.fullmatch(text)
    if not text or match is None:
        raise ValueError("a time is written 45s, 30m, 2h, 1d or 1h30m")
    days, hours, minutes, seconds = (int(number or 0) for number in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def spell_age(age: timedelta) -> str:
    """A time as parse_age reads it, to the second."""
    left, seconds = divmod(int(age.total_seconds()), 60)
    left, minutes = divmod(left, 60)
    days, hours = divmod(left, 24)
    parts = zip((days, hours, minutes, seconds), "dhms", strict=True)
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def _includes(wanted: str, offered: str) -> bool:
    """An image for linux/arm64/v8 satisfies linux/arm64, but one for linux/arm/v6 does not satisfy linux/arm/v7."""
    # containerd would run linux/arm/v6 on v7 as well (github.com/containerd/platforms). A policy is taken literally.
    return offered == wanted or offered.startswith(f"{wanted}/")
