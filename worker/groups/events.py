"""What the events of an instance view say: what was pulled, and what could not be pulled or started. Pure.

Events of earlier rollouts stay in the list, in no order, and repeats may be counted in one entry. Since 2021 the events
of a pull name `repository@sha256:…` even where the group holds a tag, and the digest is that of the platform's manifest
rather than that of the index which the registry gives for the tag. So a failed pull is told from those of the image
before by its repository and its times, and by its digest only where that is the very one that the group holds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.image import ImageReference, InvalidImage
from worker.groups.wording import (
    is_platforms_trouble,
    is_registrys_trouble,
    tells_of_pull,
    tells_of_start,
)

Event = Mapping[str, Any]

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""Earlier than any time that Azure can report."""
_LAST_YEAR = 9000
"""Later years are not times either: a duration added to the last one is beyond Python's calendar."""
CLOCK_TOLERANCE = timedelta(seconds=2)
"""How long before the change a start may appear to be: Azure cuts times to the second, and clocks differ."""
LATE = timedelta(seconds=60)
"""How long the previous containers may go on failing after a change, until Azure has carried it out."""

_GRACE = timedelta(seconds=60)
"""How long after the platform began to kill a container its end may come: it is asked to end by itself first."""
_RHYTHM = timedelta(minutes=10)
"""What failed longer ago than that is another matter: Azure tries again within five minutes at the latest."""

_DIGEST = re.compile(r"@(sha256:[0-9a-f]{64})")
_NAMED_IMAGE = re.compile(r'image "([^"\s]+)"')


@dataclass(frozen=True, slots=True)
class PullFailure:
    """What a failed pull says. A `circumstance` is the registry's fault rather than the image's."""

    message: str
    circumstance: bool


def pull_failure(
    events: Collection[Event], since: datetime, image: str | None
) -> PullFailure | None:
    """The newest failed pull of this image after `since`, unless a later pull succeeded. `image` None: any image."""
    failures = [
        event for event in events if is_pull_failure(event) and not _is_platforms(event)
    ]
    recent = [event for event in failures if _last(event) >= since]
    ours = [
        event for event in recent if not _is_of_another(event, events, since, image)
    ]
    if not ours:
        return None
    # Azure lists events in no order. Of two with the same time, the text decides, so that each look names the same one.
    newest = max(ours, key=lambda event: (_last(event), _text(event)))
    pulls = (event for event in events if event.get("name") == "Pulled")
    # Azure goes on pulling after a failure, and a pull that worked in the end outweighs the failures before it.
    succeeded_later = any(_last(event) > _last(newest) for event in pulls)
    if succeeded_later:
        return None
    message = _text(newest)
    return PullFailure(message, circumstance=is_registrys_trouble(message))


def start_failure(events: Collection[Event], since: datetime) -> str | None:
    """The message of the newest failed start of a container after `since`, unless a later start succeeded."""
    failures = [
        event
        for event in events
        if _is_start_failure(event) and not _is_platforms(event)
    ]
    recent = [event for event in failures if _last(event) >= since]
    ours = [
        (_last(event), _text(event))
        for event in recent
        if _is_of_the_change(event, events, since)
    ]
    if not ours:
        return None
    newest_at, message = max(ours)
    # Azure goes on trying. An init container that was started in the end, and has done its work, is not broken.
    starts = (event for event in events if event.get("name") == "Started")
    started_later = any(_last(event) > newest_at for event in starts)
    return None if started_later else message


def killed_by_platform(events: Iterable[Event], ended: datetime) -> bool:
    """Whether the platform itself killed the container that ended at that time, as for its maintenance."""
    if ended == LONG_AGO:
        return False  # nobody knows when it ended
    kills = (
        _last(event)
        for event in events
        if event.get("name") == "Killing"
        and "platform initiated" in _text(event).lower()
    )
    return any(ended - _GRACE <= at <= ended + CLOCK_TOLERANCE for at in kills)


def pulled_digest(events: Iterable[Event], since: datetime | None = None) -> str | None:
    """The digest in the newest Pulled event that is not older than `since`; None if there is none.

    It is the digest of the platform's manifest, which a registry's index lists among others.
    """
    pulls = [event for event in events if event.get("name") == "Pulled"]
    named = [(_last(event), named_digest(_text(event))) for event in pulls]
    # Until 2021 the events of a pull named the image as the group spells it, which may be without a digest.
    pulled = [(at, digest) for at, digest in named if digest]
    if not pulled:
        return None
    pulled_at, newest = max(pulled)
    is_older = since is not None and pulled_at < since - CLOCK_TOLERANCE
    return None if is_older else newest


def is_pull_failure(event: Event) -> bool:
    """Whether the event says that an image could not be pulled."""
    return event.get("name") == "Failed" and tells_of_pull(_text(event))


def _is_start_failure(event: Event) -> bool:
    return event.get("name") == "Failed" and tells_of_start(_text(event))


def named_digest(message: str) -> str | None:
    """The digest that a message names, None if it names none."""
    found = _DIGEST.search(message)
    return found[1] if found else None


def time_of(text: object) -> datetime:
    """A time from ARM, in RFC 3339 with up to seven fractional digits; LONG_AGO for anything else.

    A time that nobody has set is often 0001-01-01T00:00:00Z, from which no duration can be subtracted.
    """
    if not isinstance(text, str):
        return LONG_AGO
    try:
        at = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        return LONG_AGO
    if not LONG_AGO.year <= at.year <= _LAST_YEAR:
        return LONG_AGO
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _is_of_another(
    failed: Event, events: Collection[Event], since: datetime, image: str | None
) -> bool:
    """Whether it is the pull of another image: the last pull of the previous image may fail after the change.

    Found by chaos, seed 42.
    """
    named, ours = _named_image(failed), _parsed(image)
    if ours is None:
        return False
    # An event such as "Error: ErrImagePull" names no image, so that only its times tell whose it is.
    if named is None:
        return not _is_of_the_change(failed, events, since)
    if named.name != ours.name:
        return True
    # Without a digest, the event names the image as the group spells it, so the two can be compared as they are.
    if named.digest is None:
        return named != ours
    if named.digest == ours.digest:
        return False
    # The event names the platform's manifest, which can't be compared with the tag or the index in the group.
    if _another_is_pulled_since(failed, named.digest, events):
        return True
    return not _is_of_the_change(failed, events, since)


def _another_is_pulled_since(
    failed: Event, digest: str, events: Collection[Event]
) -> bool:
    """Whether Azure began to pull another digest after this pull failed. Then that one is the image of the change."""
    pulls = (event for event in events if event.get("name") in {"Pulling", "Pulled"})
    later = (event for event in pulls if _last(event) > _last(failed))
    return any(named_digest(_text(event)) not in {None, digest} for event in later)


def _is_platforms(event: Event) -> bool:
    return is_platforms_trouble(_text(event))


def _is_of_the_change(failed: Event, events: Iterable[Event], since: datetime) -> bool:
    """Whether a failure is that of the new containers: it began after the change, or it still goes on after LATE.

    The previous containers may fail once more until Azure has carried the change out.
    """
    # Azure counts repeats in one entry, or tells each by itself. Where a container was started in between, or where it
    # is too long ago, the failures before were of an earlier try.
    started = (_last(event) for event in events if event.get("name") == "Started")
    earliest = max([since - _RHYTHM, *(at for at in started if at < since)])
    repeats = (
        event
        for event in events
        if _what_failed(event) == _what_failed(failed) and _last(event) >= earliest
    )
    began = all(_began_after(event, since) for event in repeats)
    return began or _last(failed) >= since + LATE


def _began_after(event: Event, since: datetime) -> bool:
    """Whether it first happened after the change. The only tolerance is that Azure cuts times to the second.

    The last second of the previous image must not be blamed on the new one. A fault that clocks hide now becomes
    visible once it has been repeated for long enough.
    """
    first = time_of(event.get("firstTimestamp") or event.get("lastTimestamp"))
    return first >= (since if first.microsecond else since.replace(microsecond=0))


def _what_failed(event: Event) -> tuple[object, str]:
    """The same for each repeat of one failure: why an image could not be pulled may be told in other words."""
    named = _NAMED_IMAGE.search(_text(event))
    return event.get("name"), named[1] if named else _text(event)


def _named_image(event: Event) -> ImageReference | None:
    named = _NAMED_IMAGE.search(_text(event))
    return _parsed(named[1]) if named else None


def _parsed(image: str | None) -> ImageReference | None:
    try:
        return None if image is None else ImageReference.parse(image)
    except InvalidImage:
        return None


def _last(event: Event) -> datetime:
    return time_of(event.get("lastTimestamp"))


def _text(event: Event) -> str:
    return str(event.get("message"))
