"""The dead letters: lease, find, redrive and purge them. A letter's id is the id that the queue gave its message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.dead_letter import DeadLetter, decode_letter
from shared.errors import RemoteError
from shared.leased_message import LeasedMessage, LeaseLost
from shared.message import Undecodable, UpdateMessage
from shared.queue import MAX_BATCH, Queue


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter on the poison queue. `content` is the raw text if it is not one of our letters."""

    id: str
    content: DeadLetter | str
    leased: LeasedMessage

    @property
    def message(self) -> UpdateMessage | None:
        """The message that could not be carried out; None if it could not be decoded."""
        message = self.content.message if isinstance(self.content, DeadLetter) else None
        return message if isinstance(message, UpdateMessage) else None

    @property
    def dead_lettered_at(self) -> datetime:
        """Since when it is a dead letter."""
        if isinstance(self.content, DeadLetter):
            return self.content.dead_lettered_at
        return self.leased.inserted_at

    def summary(self) -> dict[str, Any]:
        """What `list --json` prints about it."""
        message = self.message
        target = message.target if message else None
        about = {
            "image": str(message.push.image) if message else None,
            "target": target.model_dump() if target else None,
        }
        if isinstance(self.content, DeadLetter):
            letter = self.content
            return {
                "id": self.id,
                "reason": letter.reason,
                "code": letter.code,
                "detail": letter.detail,
                "attempts": letter.attempts,
                **about,
                "dead_lettered_at": letter.dead_lettered_at.isoformat(),
            }
        return {
            "id": self.id,
            "reason": "undecodable",
            "code": "Undecodable",
            "detail": self.content[:200],
            "attempts": self.leased.dequeue_count,
            **about,
            "dead_lettered_at": self.leased.inserted_at.isoformat(),
        }


UNREADABLE = "can't be redriven because it can't be decoded; print it with `show`, delete it with `purge`"
TAKEN = "another command is processing it; check again with `dead-letters list`"


@contextmanager
def leased_letters(poison: Queue) -> Iterator[list[Letter]]:
    """All dead letters, leased for as long as the block runs; then those that were not completed are given back.

    Letters that somebody else has leased are not among them. Raises RemoteError.
    """
    # Peeking is tempting, because it leases nothing, but a peek never shows more than the 32 oldest letters.
    # https://learn.microsoft.com/rest/api/storageservices/peek-messages
    letters: dict[str, Letter] = {}
    try:
        known = -1
        # A lease may run out meanwhile, and its letter be received again. So the loop ends when no new letter comes,
        # not when none comes.
        while len(letters) > known:
            known = len(letters)
            for leased in poison.receive(MAX_BATCH):
                letters[leased.id] = Letter(leased.id, _read(leased.text), leased)
        yield sorted(letters.values(), key=lambda letter: letter.leased.inserted_at)
    finally:
        for letter in letters.values():
            if not letter.leased.settled:
                # If it can't be given back, it becomes visible again when its lease ends.
                with suppress(LeaseLost, RemoteError):
                    poison.reschedule(letter.leased, letter.leased.text, 0)


def redrive(
    letters: list[Letter],
    updates: Queue,
    poison: Queue,
    forgive: Callable[[UpdateMessage], None],
) -> dict[str, str]:
    """Put the letters' messages back onto the updates queue, as new. Returns the ids of the others, each with a reason.

    `forgive` removes the push's failure from its record; otherwise the push would not be tried again.
    """
    left = {}
    for letter in letters:
        message = letter.message
        if message is None:
            left[letter.id] = UNREADABLE
            continue
        try:
            poison.renew(letter.leased)  # so that nobody else redrives it meanwhile
            # Forgive, then send. In the other order, a worker that is quick would find the push to have failed before.
            forgive(message)
            updates.send(
                message.model_copy(update={"attempts": 0, "dequeued": 0}).encode()
            )
            # Send, then delete: a crash in between leaves the message and its letter, never neither.
            poison.complete(letter.leased)
        except LeaseLost:
            left[letter.id] = TAKEN
        except RemoteError as error:  # perhaps only this letter's record can't be read, so the others are tried as well
            left[letter.id] = str(error)
    return left


def purge(letters: list[Letter], poison: Queue) -> dict[str, str]:
    """Delete the letters for good. Returns the ids of those that can't be deleted, each with a reason."""
    left = {}
    for letter in letters:
        try:
            poison.complete(letter.leased)
        except LeaseLost:
            left[letter.id] = TAKEN
    return left


def find(letters: list[Letter], wanted: Iterable[str]) -> list[Letter]:
    """The letters with these ids, or unique beginnings of ids, each once. Raises LookupError, naming the others.

    The whole id of a push means all of its letters: it may have failed on several groups.
    """
    found: dict[str, Letter] = {}
    problems = []
    for beginning in wanted:
        # Every id begins with an empty text, which therefore names nothing.
        fitting = [
            letter
            for letter in letters
            if beginning and letter.id.startswith(beginning)
        ]
        of_push = [
            letter
            for letter in letters
            if letter.message and letter.message.id == beginning
        ]
        # One push may have failed on several groups, and has a letter for each. A beginning of an id must not mean
        # several.
        if len(fitting) == 1 or of_push:
            found |= {letter.id: letter for letter in of_push or fitting}
        else:
            problems.append(
                f"{len(fitting) or 'no'} dead letters have an id that begins with {beginning!r}"
            )
    if problems:
        raise LookupError("; ".join(problems))
    return list(found.values())


def _read(text: str) -> DeadLetter | str:
    try:
        return decode_letter(text)
    except Undecodable:
        return text
