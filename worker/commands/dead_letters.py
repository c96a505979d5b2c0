"""`aci-hooks-worker dead-letters`: list, show, redrive and purge what could not be done."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from shared.message import UpdateMessage
from worker.commands.output import console, print_json, print_table
from worker.dead_letters import Letter, leased_letters, redrive
from worker.records import Conflict
from worker.wiring import Deployment


@click.group("dead-letters")
def dead_letters() -> None:
    """What could not be done: look at it, try it again, or throw it away."""


@dead_letters.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def list_(context: click.Context, *, as_json: bool) -> None:
    """List every dead letter, oldest first."""
    deployment: Deployment = context.obj()
    with leased_letters(deployment.poison) as letters:
        summaries = [letter.summary() for letter in letters]
    if as_json:
        print_json(summaries)
        return
    rows = [
        (one["id"], one["image"] or "", _short(one["target"]), one["code"], one["detail"], one["attempts"])
        for one in summaries
    ]
    print_table(("id", "image", "target", "code", "detail", "attempts"), rows, empty="no dead letters")


@dead_letters.command()
@click.argument("letter_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="JSON, as it lies in the queue.")
@click.pass_context
def show(context: click.Context, *, letter_id: str, as_json: bool) -> None:
    """Show one dead letter with its message."""
    deployment: Deployment = context.obj()
    with leased_letters(deployment.poison) as letters:
        letter = _chosen(letters, (letter_id,))[0]
        text = letter.content if isinstance(letter.content, str) else letter.content.model_dump_json(exclude_none=True)
    if as_json:
        click.echo(text)
    elif isinstance(letter.content, str):
        click.echo(f"not a letter of ours; its raw text:\n{text}")
    else:
        console().print_json(text)


@dead_letters.command("redrive")
@click.argument("letter_ids", metavar="ID…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every dead letter.")
@click.pass_context
def redrive_(context: click.Context, *, letter_ids: tuple[str, ...], everything: bool) -> None:
    """Try them again, as if they had just been received. A push that a newer one has overtaken stays superseded."""
    deployment: Deployment = context.obj()
    with leased_letters(deployment.poison) as letters:
        chosen = letters if _all(letter_ids, everything=everything) else _chosen(letters, letter_ids)
        left = redrive(chosen, deployment.updates, deployment.poison, lambda message: _forgive(deployment, message))
    click.echo(f"{len(chosen) - len(left)} put back onto the queue")
    for letter_id in left:
        click.echo(
            f"{letter_id}: can't be put back, as it can't be read; see it with `show`, delete it with `purge`", err=True
        )
    sys.exit(1 if left else 0)


@dead_letters.command()
@click.argument("letter_ids", metavar="ID…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every dead letter.")
@click.pass_context
def purge(context: click.Context, *, letter_ids: tuple[str, ...], everything: bool) -> None:
    """Delete them for good."""
    deployment: Deployment = context.obj()
    with leased_letters(deployment.poison) as letters:
        chosen = letters if _all(letter_ids, everything=everything) else _chosen(letters, letter_ids)
        for letter in chosen:
            deployment.poison.complete(letter.leased)
    click.echo(f"{len(chosen)} deleted")


def _short(target: dict[str, str] | None) -> str:
    return f"{target['resource_group']}/{target['container_group']}" if target else ""


def _all(letter_ids: tuple[str, ...], *, everything: bool) -> bool:
    if everything == bool(letter_ids):
        raise click.UsageError("Name the letters by their ids, or say --all.")
    return everything


def _chosen(letters: list[Letter], letter_ids: tuple[str, ...]) -> list[Letter]:
    by_id = {letter.id: letter for letter in letters}
    if unknown := [letter_id for letter_id in letter_ids if letter_id not in by_id]:
        raise click.ClickException(f"no dead letter has the id {', '.join(unknown)}; see `dead-letters list`")
    return [by_id[letter_id] for letter_id in letter_ids]


def _forgive(deployment: Deployment, message: UpdateMessage) -> None:
    while message.target:
        record, etag = deployment.records.load(message.target)
        forgiven = record.forgive(message.id, datetime.now(UTC))
        if forgiven == record:
            return
        try:
            deployment.records.save(forgiven, etag)
        except Conflict:
            continue
        return
