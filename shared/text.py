"""Text from outside that a person will see. Pure."""

from __future__ import annotations

_INSTEAD = "\N{REPLACEMENT CHARACTER}"


def printable(text: str) -> str:
    """The text with every character replaced that a terminal would obey, or that changes how the rest of it reads.

    They are what Unicode counts as control, format (such as the marks that turn a line's direction round), surrogate or
    unassigned, and separators other than the space. The text stays as long as it was.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _INSTEAD for one in text)
