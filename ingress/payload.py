"""Reads untrusted JSON: everything unexpected raises a Malformed that names the place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from ingress.delivery import Malformed

# A date before these years is a placeholder (GitHub sends 0001-01-01), one after them a mistake.
_EARLIEST, _LATEST = 2000, 2200


MAX_ELEMENTS = 5000
"""The most elements of an array that are read, each of which takes a moment: as many events as Event Grid puts into
a batch (learn.microsoft.com/azure/event-grid/delivery-and-retry)."""


class TooMany(Malformed):
    """An array has more than MAX_ELEMENTS."""


@dataclass(frozen=True, slots=True)
class Node:
    """One place in a JSON document. The value of a missing place is None, like that of null."""

    value: Any
    path: str = ""

    def __getitem__(self, key: str) -> Node:
        """The member `key` of an object; raises Malformed if this is not an object."""
        path = f"{self.path}.{key}" if self.path else key
        if self.value is None:
            return Node(None, path)
        if not isinstance(self.value, dict):
            self._fail("is not an object")
        return Node(self.value.get(key), path)

    def items(self) -> list[Node]:
        """The elements of an array; raises Malformed if this is not an array, and TooMany."""
        if not isinstance(self.value, list):
            self._fail("is missing" if self.value is None else "is not an array")
        # Before any is read: with a megabyte of them, whoever has one secret could hold up all other deliveries.
        if len(self.value) > MAX_ELEMENTS:
            raise TooMany(
                f"{self.path or 'the body'} has {len(self.value)} elements, more than {MAX_ELEMENTS}"
            )
        return [
            Node(element, f"{self.path}[{index}]")
            for index, element in enumerate(self.value)
        ]

    def text(self) -> str:
        """A text of at least one character; raises Malformed."""
        text = self.optional_text()
        if text is None:
            self._fail("is missing" if self.value is None else "is empty")
        return text

    def optional_text(self) -> str | None:
        """A text, None if it is missing, null or empty; raises Malformed for anything else."""
        if self.value is None:
            return None
        if not isinstance(self.value, str):
            self._fail("is not a text")
        if not _is_unicode(self.value):
            self._fail("is not valid Unicode")
        return self.value or None

    def label(self) -> str | None:
        """A text that is only shown to people, None if it is not usable."""
        is_usable = (
            isinstance(self.value, str) and self.value != "" and _is_unicode(self.value)
        )
        return self.value if is_usable else None

    def time(self) -> datetime | None:
        """A time, from RFC 3339 text or from seconds since 1970; None if it is not usable."""
        try:
            if isinstance(self.value, str):
                time = datetime.fromisoformat(self.value)
            elif _is_number(self.value):
                time = datetime.fromtimestamp(self.value, UTC)
            else:
                return None
        # For a number that is out of range fromtimestamp raises any of these, depending on the platform's C library.
        except (ValueError, OverflowError, OSError):
            return None
        has_zone = time.tzinfo is not None  # without a time zone the time is ambiguous
        is_plausible = _EARLIEST <= time.year <= _LATEST
        return time if has_zone and is_plausible else None

    def _fail(self, what: str) -> NoReturn:
        raise Malformed(f"{self.path or 'the body'} {what}")


def read_json(body: bytes) -> Node:
    """The document in `body`, UTF-8 with or without a byte order mark; raises Malformed.

    NaN and Infinity are refused because they are not JSON, repeated names because RFC 8259 §4 leaves them undefined.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed("the body is not UTF-8") from error
    try:
        return Node(
            json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
        )
    except RecursionError as error:
        raise Malformed("the body is nested too deeply") from error
    except ValueError as error:  # also an integer with more digits than Python converts
        raise Malformed(f"the body is not JSON: {str(error)[:200]}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has the same name twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _is_number(value: object) -> bool:
    # To Python, True is an int: it would be one second after midnight on 1 January 1970.
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_unicode(text: str) -> bool:
    # JSON's \ud800 escapes give lone surrogates, which can't be encoded as UTF-8.
    return not any("\ud800" <= character <= "\udfff" for character in text)
