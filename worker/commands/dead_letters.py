"""`aci-hooks-worker dead-letters`: list, show, redrive and purge what could not be done."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from shared.message import UpdateMessage
from shared.printable import printable_json
from worker.commands.output import console, example, print_json, print_line, print_table
from worker.controller.dead_letters import Letter, find, leased_letters
from worker.controller.dead_letters import purge as purge_letters
from worker.controller.dead_letters import redrive as redrive_letters
from worker.ports import Conflict
from worker.wiring import Deployment

ID_HELP = "An ID may be cut short, as long as it fits one letter alone."


@click.group("dead-letters", short_help="What could not be done: list, show, redrive, purge.")
def dead_letters() -> None:
    """What could not be done: look at it, try it again, or throw it away."""


@dead_letters.command("list", epilog=example("dead-letters list --json"))
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def list_(context: click.Context, *, as_json: bool) -> None:
    """List every dead letter, oldest first."""
    with _leased(context.obj()) as letters:
        summaries = [letter.summary() for letter in letters]
    if as_json:
        print_json(summaries)
        return
    rows = [
        (one["id"], one["code"], one["image"] or "", _short(one["target"]), one["detail"], one["attempts"])
        for one in summaries
    ]
    columns = ("id", "code", "image", "target", "detail", "attempts")
    print_table(columns, rows, empty="no dead letters", titled=2)


@dead_letters.command(
    help=f"Show one dead letter with its message. {ID_HELP}",
    short_help="Show one dead letter with its message.",
    epilog=example("dead-letters show 5b1f"),
)
@click.argument("letter_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="JSON, as it lies in the queue; a string if it is no letter.")
@click.pass_context
def show(context: click.Context, *, letter_id: str, as_json: bool) -> None:
    """`aci-hooks-worker dead-letters show ID`."""
    with _leased(context.obj()) as letters:
        (letter,) = _chosen(letters, (letter_id,))
    content = letter.content
    if isinstance(content, str):
        print_line(json.dumps(content) if as_json else f"not a letter of ours; its raw text:\n{content}")
        return
    document = printable_json(content.model_dump_json())
    if as_json:
        click.echo(document)
    else:
        # Its own writer would bring back what was escaped.
        console().print_json(document, ensure_ascii=document != content.model_dump_json())


@dead_letters.command(
    help=f"Try them again, as if they had just been received. A push that a newer one has overtaken stays superseded. "
    f"{ID_HELP}",
    short_help="Try them again.",
    epilog=example("dead-letters redrive 5b1f 77c0"),
)
@click.argument("letter_ids", metavar="ID…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every dead letter.")
@click.pass_context
def redrive(context: click.Context, *, letter_ids: tuple[str, ...], everything: bool) -> None:
    """`aci-hooks-worker dead-letters redrive ID…`."""
    deployment: Deployment = context.obj()
    with _leased(deployment) as letters:
        chosen = letters if _all(letter_ids, everything=everything) else _chosen(letters, letter_ids)
        left = redrive_letters(
            chosen, deployment.updates, deployment.poison, lambda message: _forgive(deployment, message)
        )
    _report(f"{len(chosen) - len(left)} put back onto the queue", left)


@dead_letters.command(
    help=f"Delete them for good. {ID_HELP}",
    short_help="Delete them for good.",
    epilog=example("dead-letters purge --all"),
)
@click.argument("letter_ids", metavar="ID…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every dead letter.")
@click.pass_context
def purge(context: click.Context, *, letter_ids: tuple[str, ...], everything: bool) -> None:
    """`aci-hooks-worker dead-letters purge ID…`."""
    deployment: Deployment = context.obj()
    with _leased(deployment) as letters:
        chosen = letters if _all(letter_ids, everything=everything) else _chosen(letters, letter_ids)
        left = purge_letters(chosen, deployment.poison)
    _report(f"{len(chosen) - len(left)} deleted", left)


@contextmanager
def _leased(deployment: Deployment) -> Iterator[list[Letter]]:
    """All dead letters that can be had; says so if some can't, as another command has leased them."""
    with leased_letters(deployment.poison) as letters:
        if (more := deployment.poison.count() - len(letters)) > 0:
            are = "is in somebody else's" if more == 1 else "are in somebody else's"
            again = deployment.settings.visibility_timeout
            print_line(f"{more} more {are} hands; look again in {again} s", err=True)
        yield letters


def _report(done: str, left: dict[str, str]) -> None:
    print_line(done)
    for letter_id, why in left.items():
        print_line(f"{letter_id}: {why}", err=True)
    sys.exit(1 if left else 0)


def _short(target: dict[str, str] | None) -> str:
    return f"{target['resource_group']}/{target['container_group']}" if target else ""


def _all(letter_ids: tuple[str, ...], *, everything: bool) -> bool:
    if everything == bool(letter_ids):
        raise click.UsageError("Name the letters by their ids, or say --all.")
    return everything


def _chosen(letters: list[Letter], letter_ids: tuple[str, ...]) -> list[Letter]:
    try:
        return find(letters, letter_ids)
    except LookupError as error:
        raise click.ClickException(f"{error}; see `dead-letters list`") from error


def _forgive(deployment: Deployment, message: UpdateMessage) -> None:
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
