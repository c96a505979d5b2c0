"""The dead letters: list, find, redrive and purge. A letter's id is the queue's own id of its message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from shared.message import DeadLetter, Undecodable, UpdateMessage, decode_letter
from shared.queue import MAX_BATCH, LeasedMessage, Queue


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
            "dead_lettered_at": (letter.dead_lettered_at if letter else self.leased.inserted_at).isoformat(),
        }


@contextmanager
def leased_letters(poison: Queue) -> Iterator[list[Letter]]:
    """All dead letters, leased as long as the block runs, then given back but for those that were completed.

    A peek would show the first 32 alone. Raises RemoteError.
    """
    letters: list[Letter] = []
    try:
        seen: set[str] = set()
        while batch := [leased for leased in poison.receive(MAX_BATCH) if leased.id not in seen]:
            seen |= {leased.id for leased in batch}
            letters += [Letter(leased.id, _read(leased.text), leased) for leased in batch]
        letters.sort(key=lambda letter: letter.leased.inserted_at)
        yield letters
    finally:
        for letter in letters:
            if not letter.leased.settled:
                poison.reschedule(letter.leased, letter.leased.text, 0)


def redrive(
    letters: list[Letter], updates: Queue, poison: Queue, forgive: Callable[[UpdateMessage], None]
) -> list[str]:
    """Put the letters' messages back onto the updates queue as new; the ids of those that can't be: undecodable ones.

    `forgive` forgets that the push failed, or else it would not be tried again. Send, then delete: a crash in between
    leaves the letter, never nothing.
    """
    left = []
    for letter in letters:
        message = letter.message
        if message is None:
            left.append(letter.id)
            continue
        forgive(message)
        updates.send(message.model_copy(update={"attempts": 0, "dequeued": 0}).encode())
        poison.complete(letter.leased)
    return left


def _read(text: str) -> DeadLetter | str:
    try:
        return decode_letter(text)
    except Undecodable:
        return text
