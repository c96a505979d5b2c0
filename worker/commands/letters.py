"""Which dead letters a command is about: by their ids, by the filters --code and --group, and by the lease on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from worker.commands.naming import GROUP_HELP, complete_group, find_group
from worker.commands.output import print_line

if TYPE_CHECKING:
    from worker.controller.dead_letters import Letter
    from worker.wiring.deployment import Deployment

ID_HELP = "An ID may be shortened as long as it is unambiguous; the id of the push works as well."
Command = TypeVar("Command", bound=Callable[..., Any])


def filters(command: Command) -> Command:
    """The options that say which letters are meant."""
    of_group = click.option(
        "--group",
        metavar="GROUP",
        shell_complete=complete_group,
        help=f"Only letters of this group. {GROUP_HELP}",
    )
    of_code = click.option(
        "--code", metavar="CODE", help="Only letters with this code, such as CrashLoop."
    )
    return of_code(of_group(command))


@contextmanager
def leased(deployment: Deployment) -> Iterator[list[Letter]]:
    """All dead letters that are free; says so if another command has leased some."""
    from worker.controller.dead_letters import leased_letters

    with leased_letters(deployment.poison) as letters:
        # The queue counts leased letters, too, and nothing shows what is in them. Silence would look like "no others".
        if (more := deployment.poison.count() - len(letters)) > 0:
            are = "dead letter is" if more == 1 else "dead letters are"
            again = deployment.settings.visibility_timeout
            print_line(
                f"{more} more {are} being processed by another command; try again in {again} s",
                err=True,
            )
        yield letters


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody says of the letters that are meant: some of them by their ids, or all; and the filters."""

    ids: tuple[str, ...] = ()
    everything: bool = False
    code: str | None = None
    group: str | None = None

    def of(self, deployment: Deployment, letters: list[Letter]) -> list[Letter]:
        """The letters that are meant; raises UsageError if nothing says which, and ClickException for unknown ids."""
        self._check()
        named = by_ids(letters, self.ids) if self.ids else letters
        is_meant = self.filter(deployment)
        return [letter for letter in named if is_meant(letter)]

    def _check(self) -> None:
        is_contradictory = self.everything and bool(self.ids)
        # `purge` without an argument must not be a short form of `purge --all`.
        says_which = self.everything or self.ids or self.code or self.group
        if is_contradictory or not says_which:
            raise click.UsageError(
                "Give the ids of dead letters, --code or --group, or --all."
            )

    def filter(self, deployment: Deployment) -> Callable[[Letter], bool]:
        """Whether the filters leave a letter."""
        target = find_group(deployment, self.group) if self.group else None
        code = self.code.lower() if self.code is not None else None

        def is_meant(letter: Letter) -> bool:
            if code is not None and str(letter.summary()["code"]).lower() != code:
                return False
            # A letter that can't be decoded, or whose push never reached a group, is of no group.
            message = letter.message
            return target is None or (message is not None and message.target == target)

        return is_meant


def by_ids(letters: list[Letter], letter_ids: tuple[str, ...]) -> list[Letter]:
    """The letters with these ids; raises ClickException if one is unknown or ambiguous."""
    from worker.controller.dead_letters import find

    try:
        return find(letters, letter_ids)
    except LookupError as error:
        raise click.ClickException(f"{error}; see `dead-letters list`") from error


def short_target(target: dict[str, str] | None) -> str:
    """A target as a table shows it, without its subscription."""
    return f"{target['resource_group']}/{target['container_group']}" if target else ""
