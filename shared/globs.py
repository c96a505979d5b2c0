"""Globs over names with slashes: `*` and `?` stay between two slashes, `**` crosses them. Pure.

Not fnmatch, whose `*` crosses slashes: docker.io/acme/* would then cover docker.io/acme/team-b/shop, too.
"""

from __future__ import annotations

import re

_PARTS = {"**": ".*", "*": "[^/]*", "?": "[^/]"}


def glob_pattern(glob: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    """The pattern for whole names, with `fullmatch`."""
    # `**` is tried first, or it would be read as `*` twice.
    pieces = re.split(r"(\*\*|\*|\?)", glob)
    pattern = "".join(_PARTS.get(piece) or re.escape(piece) for piece in pieces)
    return re.compile(pattern, re.IGNORECASE if ignore_case else 0)
