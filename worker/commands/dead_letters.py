"""`aci-hooks dead-letters`: list, show, redrive and purge failed messages."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from textwrap import indent
from typing import TYPE_CHECKING, Any, TypeVar

import click

from shared.printable import printable_json
from worker.commands.naming import GROUP_HELP, complete_group, find_group
from worker.commands.output import (
    console,
    count_of,
    example,
    print_json,
    print_line,
    print_table,
    when,
)

if TYPE_CHECKING:
    from shared.message import UpdateMessage
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
        "--code", metavar="CODE", help="Only letters with this code, as CrashLoop."
    )
    return of_code(of_group(command))


@click.group("dead-letters", short_help="Failed messages: list, show, redrive, purge.")
def dead_letters() -> None:
    """Messages that failed: look at them, retry them, or delete them."""


@dead_letters.command("list", epilog=example("dead-letters list --code CrashLoop"))
@filters
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def list_(
    context: click.Context, *, code: str | None, group: str | None, as_json: bool
) -> None:
    """List the dead letters, oldest first."""
    deployment: Deployment = context.obj()
    is_meant = _meant(deployment, code, group)
    with _leased(deployment) as letters:
        chosen = [letter for letter in letters if is_meant(letter)]
        summaries = [letter.summary() for letter in chosen]
        dates = [when(letter.dead_lettered_at) for letter in chosen]
    if as_json:
        print_json(summaries)
        return
    rows = [
        (
            one["id"],
            one["code"],
            date,
            one["image"] or "",
            _short(one["target"]),
            one["detail"],
            one["attempts"],
        )
        for one, date in zip(summaries, dates, strict=True)
    ]
    columns = ("id", "code", "at (UTC)", "image", "target", "detail", "attempts")
    print_table(columns, rows, empty="no dead letters", titled=3)


@dead_letters.command(
    help=f"Show one dead letter with its message, and what to do about it. {ID_HELP}",
    short_help="Show one dead letter, and what to do about it.",
    epilog=example("dead-letters show 5b1f"),
)
@click.argument("letter_id", metavar="ID")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="JSON, as it is on the queue; a string if it is not a dead letter.",
)
@click.pass_context
def show(context: click.Context, *, letter_id: str, as_json: bool) -> None:
    """`aci-hooks dead-letters show ID`."""
    from worker.failures.advice import what_to_do

    with _leased(context.obj()) as letters:
        letter, *others = _chosen(letters, (letter_id,))
    if others:
        print_line(
            f"{len(others)} more of this push, on other groups: see `dead-letters list`",
            err=True,
        )
    content = letter.content
    if isinstance(content, str):
        print_line(
            json.dumps(content)
            if as_json
            else f"not a dead letter of aci-hooks; its raw text:\n{content}"
        )
        if not as_json:
            print_line(f"what to do: {what_to_do('Undecodable')}")
        return
    if as_json:
        click.echo(printable_json(content.model_dump_json()))
        return
    print_line(
        f"{content.reason} ({content.code}), at {when(content.dead_lettered_at)} UTC: {content.detail}"
    )
    print_line(f"what to do: {what_to_do(content.code)}")
    if content.log:
        print_line(
            f"the last lines of the crashed container's log:\n{indent(content.log, '  ')}"
        )
    rest = content.model_copy(update={"log": None}).model_dump_json()
    document = printable_json(rest)
    # Its own writer would bring back what was escaped.
    console().print_json(document, ensure_ascii=document != rest)


@dead_letters.command(
    help="Retry dead letters as if they had just been received. A push that a newer one has replaced stays "
    f"superseded. {ID_HELP}",
    short_help="Retry dead letters.",
    epilog=example("dead-letters redrive 5b1f 77c0"),
)
@click.argument("letter_ids", metavar="ID…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every dead letter.")
@filters
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON object: the ids that were put back, and why not others.",
)
@click.pass_context
def redrive(
    context: click.Context,
    *,
    letter_ids: tuple[str, ...],
    everything: bool,
    code: str | None,
    group: str | None,
    as_json: bool,
) -> None:
    """`aci-hooks dead-letters redrive ID…`."""
    from worker.controller.dead_letters import redrive as redrive_letters

    deployment: Deployment = context.obj()
    with _leased(deployment) as letters:
        chosen = _meant_by(
            deployment,
            letters,
            letter_ids,
            everything=everything,
            code=code,
            group=group,
        )
        left = redrive_letters(
            chosen,
            deployment.updates,
            deployment.poison,
            lambda message: _forgive(deployment, message),
        )
    _report(chosen, "put back onto the queue", left, as_json=as_json)


@dead_letters.command(
    help=f"Delete dead letters for good, after a question. {ID_HELP}",
    short_help="Delete dead letters for good.",
    epilog=example("dead-letters purge --code Undecodable --yes"),
)
@click.argument("letter_ids", metavar="ID…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every dead letter.")
@filters
@click.option("--yes", is_flag=True, help="Delete them without a question.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON object: the ids that were deleted, and why not others.",
)
@click.pass_context
def purge(
    context: click.Context,
    *,
    letter_ids: tuple[str, ...],
    everything: bool,
    code: str | None,
    group: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """`aci-hooks dead-letters purge ID…`."""
    from worker.controller.dead_letters import purge as purge_letters

    deployment: Deployment = context.obj()
    with _leased(deployment) as letters:
        chosen = _meant_by(
            deployment,
            letters,
            letter_ids,
            everything=everything,
            code=code,
            group=group,
        )
    if chosen and not yes:
        _ask(chosen)
    # Nobody keeps letters leased while a person thinks: they are taken again, as far as they are still there.
    with _leased(deployment) as letters:
        ids = {letter.id for letter in chosen}
        still = [letter for letter in letters if letter.id in ids]
        left = purge_letters(still, deployment.poison)
    _report(still, "deleted", left, as_json=as_json)


def _ask(chosen: list[Letter]) -> None:
    for letter in chosen:
        one = letter.summary()
        print_line(
            f"{one['id']}  {one['code']}  {one['image'] or ''}  {_short(one['target'])}",
            err=True,
        )
    question = f"Delete {count_of(len(chosen), 'dead letter')} for good?"
    try:
        sure = click.confirm(question, err=True)
    except click.Abort:  # nobody is there to answer
        raise click.ClickException(
            "nothing was deleted; say --yes to delete without a question"
        ) from None
    if not sure:
        raise click.ClickException("nothing was deleted")


@contextmanager
def _leased(deployment: Deployment) -> Iterator[list[Letter]]:
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


def _report(
    chosen: list[Letter], done: str, left: dict[str, str], *, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                "done": [letter.id for letter in chosen if letter.id not in left],
                "left": left,
            }
        )
    else:
        print_line(f"{len(chosen) - len(left)} {done}")
        for letter_id, why in left.items():
            print_line(f"{letter_id}: {why}", err=True)
    sys.exit(1 if left else 0)


def _short(target: dict[str, str] | None) -> str:
    return f"{target['resource_group']}/{target['container_group']}" if target else ""


def _meant(
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


def _meant_by(
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
    named = _chosen(letters, letter_ids) if letter_ids else letters
    is_meant = _meant(deployment, code, group)
    return [letter for letter in named if is_meant(letter)]


def _chosen(letters: list[Letter], letter_ids: tuple[str, ...]) -> list[Letter]:
    from worker.controller.dead_letters import find

    try:
        return find(letters, letter_ids)
    except LookupError as error:
        raise click.ClickException(f"{error}; see `dead-letters list`") from error


def _forgive(deployment: Deployment, message: UpdateMessage) -> None:
    from worker.ports import Conflict

    # Until nobody has written the record in between. A push that never reached a target has failed in no record.
    while message.target:
        record, etag = deployment.records.load(message.target)
        forgiven = record.forgive(message.id)
        if forgiven == record:
            return
        try:
            deployment.records.save(forgiven, etag)
        except Conflict:
            continue
        return
