"""Following a push, or a group, until it has ended: the records are looked at again and again, as they change.

Nothing tells a command line what happens: the workers write records, and the queue's messages are theirs alone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from worker.commands.output import print_json, print_line
from worker.commands.side_by_side import side_by_side

if TYPE_CHECKING:
    from shared.image import ImageReference
    from shared.message import TargetId
    from worker.record.record import Record
    from worker.record.values import Result
    from worker.wiring.deployment import Deployment

STEP = 0.5
"""Seconds between two looks at the records: one request, and one more for each record that has changed."""
PATIENT = 20
"""Looks after which somebody should hear that nothing has been seen yet."""
DONE, FAILED, LATE = 0, 1, 3
_GOOD = frozenset({"updated", "unchanged"})


@dataclass
class Screen:
    """Prints what happens, each thing once: lines for people, or a JSON object a line."""

    as_json: bool = False
    _last: dict[tuple[str, TargetId | None], str] = field(default_factory=dict)

    def show(
        self,
        target: TargetId | None,
        text: str,
        result: str | None = None,
        of: str = "",
    ) -> None:
        """Print where a push (its id is `of`) is on a target, unless that is what was printed last."""
        name = str(target) if target else "(no target)"
        key = (of, target)
        if self._last.get(key) == text:
            return
        self._last[key] = text
        now = datetime.now(UTC)
        if self.as_json:
            where = {
                "id": of or None,
                "target": target.model_dump() if target else None,
            }
            print_json(
                {"at": now.isoformat(), **where, "text": text, "result": result},
                in_a_line=True,
            )
        else:
            print_line(f"{now:%H:%M:%S} {name}: {text}")


class Tail:
    """The records that have changed since the last look."""

    def __init__(self, deployment: Deployment) -> None:
        self._records = deployment.records
        self._seen: dict[TargetId, str] = {}

    def changed(self, only: TargetId | None = None) -> list[Record]:
        """Read them. A record that can't be read now is read at the next look."""
        # A list of the blobs tells all ETags in one request, where a read of each record would be one for each.
        news = [
            (target, etag)
            for target, etag in self._records.versions()
            if self._seen.get(target) != etag and only in {None, target}
        ]
        found = side_by_side(lambda new: self._load(*new), news, doing=None)
        return [record for record in found if record]

    def _load(self, target: TargetId, etag: str) -> Record | None:
        from shared.errors import RemoteError

        with contextlib.suppress(RemoteError):
            # The record may be newer than the list that named its ETag. With the ETag of the list, the next look would
            # read it once more.
            record, loaded = self._records.load(target)
            self._seen[target] = loaded or etag
            return record
        return None


def follow_push(
    deployment: Deployment,
    message_id: str,
    screen: Screen,
    timeout: float | None,
    image: ImageReference | None = None,
) -> int:
    """Follow a push to its end on every target; the exit code. Its `image`, if not known, is learnt on the way."""
    follower = _Follower(deployment, message_id, screen, image)
    return _until(follower.look, timeout)


def follow_group(
    deployment: Deployment, target: TargetId, screen: Screen, timeout: float | None
) -> int:
    """Follow a group until nothing is under way in it; the exit code."""
    from worker.core.story import is_over

    first = deployment.records.load(target)[0]
    if is_over(first):
        return _show_rest(target, first, screen)
    follower = _GroupFollower(deployment, target, first, screen)
    return _until(follower.look, timeout)


def _show_rest(target: TargetId, record: Record, screen: Screen) -> int:
    """Nothing is under way, so the last push decides about the exit code."""
    from worker.core.story import told
    from worker.record.record import is_dead

    newest = record.outcomes[0] if record.outcomes else None
    last = f"; the last push: {newest.image} {told(newest)}" if newest else ""
    held = f"; held by hand: {record.hold.reason}" if record.hold else ""
    screen.show(target, f"nothing is under way{held}{last}")
    return FAILED if newest and is_dead(newest.result) else DONE


class _GroupFollower:
    """One group, with everything that is under way in it."""

    def __init__(
        self, deployment: Deployment, target: TargetId, first: Record, screen: Screen
    ) -> None:
        self._target = target
        self._screen = screen
        self._tail = Tail(deployment)
        # What ended before somebody began to look is not told, and does not count.
        self._known = {outcome.id for outcome in first.outcomes}
        self._has_failed = False

    def look(self) -> int | None:
        """One look; the exit code once nothing is under way."""
        from worker.core.status import phase_of
        from worker.core.story import is_over

        for record in self._tail.changed(self._target):
            self._show_places(record)
            self._show_ends(record)
            if is_over(record):
                return FAILED if self._has_failed else DONE
            # No push waits, but something is still under way: the last good images are brought back, for example.
            if not record.waiting():
                self._screen.show(self._target, phase_of(record))
        return None

    def _show_places(self, record: Record) -> None:
        from worker.core.story import place_of

        for message in record.waiting().values():
            if place := place_of(record, message.id):
                said = f"{message.push.image} {place.text}"
                self._screen.show(self._target, said, of=message.id)

    def _show_ends(self, record: Record) -> None:
        from worker.core.story import told
        from worker.record.record import is_dead

        # The record has the newest first, and people read the oldest first.
        for outcome in reversed(record.outcomes):
            if outcome.id in self._known:
                continue
            self._known.add(outcome.id)
            self._has_failed = self._has_failed or is_dead(outcome.result)
            said = f"{outcome.image} {told(outcome)}"
            self._screen.show(self._target, said, outcome.result, outcome.id)


class _Follower:
    """The pushes of one id, wherever they are."""

    def __init__(
        self,
        deployment: Deployment,
        wanted: str,
        screen: Screen,
        image: ImageReference | None,
    ) -> None:
        self._deployment = deployment
        self._wanted = wanted
        self._screen = screen
        self._images = {wanted: image} if image else {}
        self._tail = Tail(deployment)
        self._results: dict[tuple[str, TargetId | None], Result | None] = {}
        self._looks_in_vain = 0

    def look(self) -> int | None:
        """One look; the exit code once everything has ended everywhere."""
        for record in self._tail.changed():
            self._note(record)
        # Only then, as it is one more request for each look.
        if not self._all_seen():
            self._look_elsewhere()
        if self._all_seen() and None not in self._results.values():
            return DONE if set(self._results.values()) <= _GOOD else FAILED
        return None

    def _note(self, record: Record) -> None:
        from worker.core.story import ids_of, place_of

        for message_id in ids_of(record, self._wanted):
            if message := record.waiting().get(message_id):
                self._images[message_id] = message.push.image
            if place := place_of(record, message_id):
                self._results[message_id, record.target] = place.result
                self._screen.show(record.target, place.text, place.result, message_id)

    def _look_elsewhere(self) -> None:
        """A push may have ended before it reached any record: no target runs it, or nobody could receive it."""
        from worker.core.story import is_of, told

        for end in self._deployment.records.trace().ends:
            outcome = end.outcome
            if is_of(outcome.id, self._wanted):
                self._results[outcome.id, end.target] = outcome.result
                self._screen.show(end.target, told(outcome), outcome.result, outcome.id)
        self._looks_in_vain += not self._results
        if self._looks_in_vain == PATIENT:
            print_line(
                f"nothing has been seen of {self._wanted} yet; is a worker running? Still waiting",
                err=True,
            )

    def _all_seen(self) -> bool:
        """Has every push of this id been seen, on each target that it should come to by what is known here?"""
        from worker.core.story import siblings

        seen = {message_id for message_id, _ in self._results}
        # One webhook may have brought several pushes, whose messages are received one after the other.
        if not seen or not seen >= siblings(self._wanted, seen):
            return False
        return all(self._is_everywhere(message_id) for message_id in seen)

    def _is_everywhere(self, message_id: str) -> bool:
        # A worker found no target for it, and that is how it ended. What this machine's targets file says then does not
        # matter: it may be newer than the worker's, or older.
        if (message_id, None) in self._results:
            return True
        return all(
            (message_id, target) in self._results
            for target in self._targets(message_id)
        )

    def _targets(self, message_id: str) -> Collection[TargetId]:
        from shared.errors import RemoteError

        image = self._images.get(message_id)
        if image is None:
            return ()
        with contextlib.suppress(RemoteError):
            return [target.id for target in self._deployment.catalogue.concerned(image)]
        return ()


def _until(look: Callable[[], int | None], timeout: float | None) -> int:
    """Look until there is an exit code, or until it takes too long."""
    ends_at = None if timeout is None else time.monotonic() + timeout
    while (code := look()) is None:
        if ends_at is not None and time.monotonic() >= ends_at:
            print_line(f"not ended within {timeout:g} s", err=True)
            return LATE
        time.sleep(STEP)
    return code
