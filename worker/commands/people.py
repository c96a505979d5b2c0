"""Who works at the command line, and what they type."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import Any, TypeVar

import click

MOST = 200
"""Characters of a name."""

Command = TypeVar("Command", bound=Callable[..., Any])


def by_option(command: Command) -> Command:
    """The option `--by`: who does it, for whoever looks at the history; the user of this machine by default."""
    says_who = "Who does it, for the history.  [default: your user name]"
    return click.option(
        "--by",
        callback=lambda _context, _parameter, name: somebody(name),
        help=says_who,
    )(command)


def somebody(name: str | None) -> str | None:
    """The name that was given, else the user's; None if the machine knows no name for the user."""
    if name is None:
        try:
            name = getpass.getuser()
        # A container that runs under a number has no name; which error that is depends on the version of Python
        # (https://docs.python.org/3/library/getpass.html#getpass.getuser).
        except (OSError, KeyError, ImportError):
            return None
    name = " ".join(in_unicode(name).split())
    return name[:MOST] or None


def in_unicode(text: str) -> str:
    """What was typed, with U+FFFD for each byte that is not text in this machine's locale.

    A record could not hold such bytes.
    """
    # Python keeps such bytes as lone surrogates (PEP 383). As UTF-16 they are units without a partner, each of which
    # `replace` takes for one character.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
