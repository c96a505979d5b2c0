"""A group of commands whose modules are imported only once one of them is needed.

The SDKs behind the commands take a second to import. Somebody who asks for the version, for the list of commands or
for the end of a word at the shell's prompt should not wait for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command is (`module:attribute`), and what it does in half a sentence."""

    where: str
    help: str

    def load(self) -> click.Command:
        """The command itself. Imports its module."""
        module, _, attribute = self.where.partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.where} is not a command")
        return command


class LazyGroup(click.Group):
    """Commands by their places. Whatever of click asks for all of them gets them, imported."""

    def __init__(
        self, *arguments: Any, places: Mapping[str, Place], **options: Any
    ) -> None:
        self._places = places
        self._loaded: dict[str, click.Command] = {}
        super().__init__(*arguments, **options)

    @property
    def commands(self) -> dict[str, click.Command]:
        """Every command, imported: click asks for it to say what somebody may have meant."""
        return {name: self._load(name) for name in self._places}

    @commands.setter
    def commands(self, _commands: Mapping[str, click.Command]) -> None:
        """Nothing: the places are what there is. click's own __init__ assigns a dictionary."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names of the commands."""
        return sorted(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's, too
        """One command, imported."""
        return self._load(cmd_name) if cmd_name in self._places else None

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[CompletionItem]:
        """The names and options that begin so; nothing is imported for them."""
        names = [
            CompletionItem(name, help=self._places[name].help)
            for name in self.list_commands(ctx)
            if name.startswith(incomplete)
        ]
        # Not the group's own method, which would import every command to name it.
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """The list of commands in the help; nothing is imported for it."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._rows(ctx)))

    def _rows(self, context: click.Context) -> Iterator[tuple[str, str]]:
        for name in self.list_commands(context):
            yield name, self._places[name].help

    def _load(self, name: str) -> click.Command:
        if name not in self._loaded:
            self._loaded[name] = self._places[name].load()
        return self._loaded[name]
