"""Which dead letters a command is about: by their ids, by the filters --code and --group, and by the lease on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from worker.commands.naming import GROUP_HELP, complete_group, find_group
from worker.commands.output import print_line

if TYPE_CHECKING:
    from worker.controller.dead_letters import Letter
    from worker.wiring import Deployment

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
        "--code", metavar="CODE", help="Only letters with this code, as CrashLoop."
    )
    return of_code(of_group(command))


@contextmanager
def leased(deployment: Deployment) -> Iterator[list[Letter]]:
    """All dead letters that are free; says so if another command has leased some."""
    from worker.controller.dead_letters import leased_letters

    with leased_letters(deployment.poison) as letters:
        if (more := deployment.poison.count() - len(letters)) > 0:
            are = "dead letter is" if more == 1 else "dead letters are"
            again = deployment.settings.visibility_timeout
            print_line(
                f"{more} more {are} being processed by another command; try again in {again} s",
                err=True,
            )
        yield letters


def meant(
    deployment: Deployment, code: str | None, group: str | None
) -> Callable[[Letter], bool]:
    """Which letters the filters leave."""
    target = find_group(deployment, group) if group else None

    def is_meant(letter: Letter) -> bool:
        of_code = code is None or str(letter.summary()["code"]).lower() == code.lower()
        of_group = target is None or (
            letter.message is not None and letter.message.target == target
        )
        return of_code and of_group

    return is_meant


def meant_by(
    deployment: Deployment,
    letters: list[Letter],
    letter_ids: tuple[str, ...],
    *,
    everything: bool,
    code: str | None,
    group: str | None,
) -> list[Letter]:
    filtered = bool(code or group)
    if (everything and letter_ids) or not (everything or letter_ids or filtered):
        raise click.UsageError(
            "Give the ids of dead letters, --code or --group, or --all."
        )
    named = chosen_of(letters, letter_ids) if letter_ids else letters
    is_meant = meant(deployment, code, group)
    return [letter for letter in named if is_meant(letter)]


def chosen_of(letters: list[Letter], letter_ids: tuple[str, ...]) -> list[Letter]:
    from worker.controller.dead_letters import find

    try:
        return find(letters, letter_ids)
    except LookupError as error:
        raise click.ClickException(f"{error}; see `dead-letters list`") from error


def short_target(target: dict[str, str] | None) -> str:
    return f"{target['resource_group']}/{target['container_group']}" if target else ""
