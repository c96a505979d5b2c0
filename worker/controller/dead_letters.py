"""The dead letters: lease, find, redrive and purge them. A letter's id is the queue's own id of its message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.errors import RemoteError
from shared.message import DeadLetter, Undecodable, UpdateMessage, decode_letter
from shared.queue import MAX_BATCH, LeasedMessage, LeaseLost, Queue


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter on the poison queue; `content` is raw text where it is no letter of ours."""

    id: str
    content: DeadLetter | str
    leased: LeasedMessage

    @property
    def message(self) -> UpdateMessage | None:
        """The message that could not be carried out, None where it could not be read."""
        if isinstance(self.content, DeadLetter) and isinstance(self.content.message, UpdateMessage):
            return self.content.message
        return None

    @property
    def dead_lettered_at(self) -> datetime:
        """Since when it is a dead letter."""
        return self.content.dead_lettered_at if isinstance(self.content, DeadLetter) else self.leased.inserted_at

    def summary(self) -> dict[str, Any]:
        """What `list --json` prints of it."""
        letter = self.content if isinstance(self.content, DeadLetter) else None
        message = self.message
        return {
            "id": self.id,
            "reason": letter.reason if letter else "undecodable",
            "code": letter.code if letter else "Undecodable",
            "detail": letter.detail if letter else str(self.content)[:200],
            "attempts": letter.attempts if letter else self.leased.dequeue_count,
            "image": str(message.push.image) if message else None,
            "target": message.target.model_dump() if message and message.target else None,
            "dead_lettered_at": self.dead_lettered_at.isoformat(),
        }


UNREADABLE = "can't be put back because it can't be decoded; see it with `show`, delete it with `purge`"
TAKEN = "another command is processing it; check again with `dead-letters list`"


@contextmanager
def leased_letters(poison: Queue) -> Iterator[list[Letter]]:
    """All dead letters, leased as long as the block runs, then given back but for those that were completed.

    A peek would show the first 32 alone. What somebody else has leased is not among them. Raises RemoteError.
    """
    letters: dict[str, Letter] = {}
    try:
        known = -1
        while len(letters) > known:
            known = len(letters)
            letters |= {one.id: Letter(one.id, _read(one.text), one) for one in poison.receive(MAX_BATCH)}
        yield sorted(letters.values(), key=lambda letter: letter.leased.inserted_at)
    finally:
        for letter in letters.values():
            if not letter.leased.settled:
                # What can't be given back comes back when its lease ends.
                with suppress(LeaseLost, RemoteError):
                    poison.reschedule(letter.leased, letter.leased.text, 0)


def redrive(
    letters: list[Letter], updates: Queue, poison: Queue, forgive: Callable[[UpdateMessage], None]
) -> dict[str, str]:
    """Put the letters' messages back onto the updates queue as new; the ids of those that can't be, and why.

    `forgive` forgets that the push failed, or else it would not be tried again. Send, then delete: a crash in between
    leaves the letter, never nothing.
    """
    left = {}
    for letter in letters:
        message = letter.message
        if message is None:
            left[letter.id] = UNREADABLE
            continue
        try:
            poison.renew(letter.leased)  # so that nobody else sends it meanwhile
            forgive(message)
            updates.send(message.model_copy(update={"attempts": 0, "dequeued": 0}).encode())
            poison.complete(letter.leased)
        except LeaseLost:
            left[letter.id] = TAKEN
        except RemoteError as error:  # of its record, perhaps, which keeps no other letter from being put back
            left[letter.id] = str(error)
    return left


def purge(letters: list[Letter], poison: Queue) -> dict[str, str]:
    """Delete the letters for good; the ids of those that can't be, and why."""
    left = {}
    for letter in letters:
        try:
            poison.complete(letter.leased)
        except LeaseLost:
            left[letter.id] = TAKEN
    return left


def find(letters: list[Letter], wanted: Iterable[str]) -> list[Letter]:
    """The letters of these ids or unique beginnings of ids, once each. Raises LookupError naming what fits none.

    The whole id of a push means all of its letters: it may have failed on several groups.
    """
    found: dict[str, Letter] = {}
    problems = []
    for beginning in wanted:
        fitting = [letter for letter in letters if beginning and letter.id.startswith(beginning)]
        of_push = [letter for letter in letters if letter.message and letter.message.id == beginning]
        if len(fitting) == 1 or of_push:
            found |= {letter.id: letter for letter in of_push or fitting}
        else:
            problems.append(f"{len(fitting) or 'no'} dead letters have an id that begins with {beginning!r}")
    if problems:
        raise LookupError("; ".join(problems))
    return list(found.values())


def _read(text: str) -> DeadLetter | str:
    try:
        return decode_letter(text)
    except Undecodable:
        return text
