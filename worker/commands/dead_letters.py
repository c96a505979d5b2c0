"""`aci-hooks dead-letters`: list, show, redrive and purge failed messages.

What happens on the queue is in worker.controller.dead_letters, which letters are meant in worker.commands.letters.
"""

from __future__ import annotations

import json
import sys
from textwrap import indent
from typing import TYPE_CHECKING

import click

from shared.printable import printable_json
from worker.commands.letters import (
    ID_HELP,
    Choice,
    by_ids,
    filters,
    leased,
    short_target,
)
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
    from shared.dead_letter import DeadLetter
    from shared.message import UpdateMessage
    from worker.controller.dead_letters import Letter
    from worker.wiring.deployment import Deployment


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
    is_meant = Choice(code=code, group=group).filter(deployment)
    with leased(deployment) as letters:
        chosen = [letter for letter in letters if is_meant(letter)]
        summaries = [letter.summary() for letter in chosen]
        dates = [when(letter.dead_lettered_at) for letter in chosen]
    if as_json:
        print_json(summaries)
        return
    rows = [
        (
            summary["id"],
            summary["code"],
            date,
            summary["image"] or "",
            short_target(summary["target"]),
            summary["detail"],
            summary["attempts"],
        )
        for summary, date in zip(summaries, dates, strict=True)
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
    with leased(context.obj()) as letters:
        letter, *others = by_ids(letters, (letter_id,))
    if others:
        print_line(
            f"{len(others)} more of this push, on other groups: see `dead-letters list`",
            err=True,
        )
    if isinstance(letter.content, str):
        _print_raw(letter.content, as_json=as_json)
    elif as_json:
        click.echo(printable_json(letter.content.model_dump_json()))
    else:
        _print_letter(letter.content)


def _print_raw(content: str, *, as_json: bool) -> None:
    from worker.failures.advice import what_to_do

    if as_json:
        print_line(json.dumps(content))
        return
    print_line(f"not a dead letter of aci-hooks; its raw text:\n{content}")
    print_line(f"what to do: {what_to_do('Undecodable')}")


def _print_letter(content: DeadLetter) -> None:
    from worker.failures.advice import what_to_do

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
    # rich reads the document and writes it again. Without ensure_ascii, control characters, which are escapes by now,
    # would be characters again. Where nothing was escaped, other alphabets stay readable.
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
    help="One JSON object: the ids that were put back, and why others were not.",
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

    choice = Choice(letter_ids, everything, code, group)
    deployment: Deployment = context.obj()
    with leased(deployment) as letters:
        chosen = choice.of(deployment, letters)
        left = redrive_letters(
            chosen,
            deployment.updates,
            deployment.poison,
            lambda message: _forgive(deployment, message),
        )
    _report(chosen, "put back onto the queue", left, as_json=as_json)


@dead_letters.command(
    help=f"Delete dead letters for good, after asking for confirmation. {ID_HELP}",
    short_help="Delete dead letters for good.",
    epilog=example("dead-letters purge --code Undecodable --yes"),
)
@click.argument("letter_ids", metavar="ID…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every dead letter.")
@filters
@click.option(
    "--yes", is_flag=True, help="Delete them without asking for confirmation."
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON object: the ids that were deleted, and why others were not.",
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

    choice = Choice(letter_ids, everything, code, group)
    deployment: Deployment = context.obj()
    with leased(deployment) as letters:
        chosen = choice.of(deployment, letters)
    if chosen and not yes:
        _ask(chosen)
    # No letter stays leased while a person thinks. The lease would run out, and then the deletion would fail; so they
    # are leased again, as far as they are still there. What has come meanwhile is not among the ids, and is kept.
    with leased(deployment) as letters:
        ids = {letter.id for letter in chosen}
        still = [letter for letter in letters if letter.id in ids]
        left = purge_letters(still, deployment.poison)
    _report(still, "deleted", left, as_json=as_json)


def _ask(chosen: list[Letter]) -> None:
    for letter in chosen:
        summary = letter.summary()
        print_line(
            f"{summary['id']}  {summary['code']}  {summary['image'] or ''}  {short_target(summary['target'])}",
            err=True,
        )
    question = f"Delete {count_of(len(chosen), 'dead letter')} for good?"
    try:
        sure = click.confirm(question, err=True)
    except click.Abort:  # nobody is there to answer: a script, or Ctrl-C
        raise click.ClickException(
            "nothing was deleted; use --yes to delete without confirmation"
        ) from None
    if not sure:
        raise click.ClickException("nothing was deleted")


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


def _forgive(deployment: Deployment, message: UpdateMessage) -> None:
    from worker.ports import Conflict

    # Tried again as long as somebody else writes the record in between, which a worker may do all the time. A push that
    # never reached a target has failed in no record.
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
