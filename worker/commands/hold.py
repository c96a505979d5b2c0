"""`aci-hooks hold` and `release`: updates of a group are stopped by hand, and go on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from worker.commands.naming import (
    GROUP_HELP,
    complete_group,
    find_group,
    held_back,
    known_targets,
)
from worker.commands.output import count_of, example, print_json, print_line, when
from worker.commands.people import by_option, in_unicode
from worker.commands.side_by_side import side_by_side
from worker.commands.times import HOW, ahead

if TYPE_CHECKING:
    from shared.message import TargetId
    from worker.record.record import Record
    from worker.wiring.deployment import Deployment

Changed = tuple["Record", "Record"]


@click.command(
    help=f"Stop updates of GROUP; pushes wait until it is released. {GROUP_HELP}",
    short_help="Stop updates of GROUP; pushes wait.",
    epilog=example('hold shop --reason "sale" --until 2026-11-30T08:00'),
)
@click.argument("groups", metavar="[GROUP]…", nargs=-1, shell_complete=complete_group)
@click.option("--all", "everything", is_flag=True, help="Every target.")
@click.option("--reason", required=True, help="Why; the history shows it.")
@click.option(
    "--until",
    metavar="TIME",
    help=f"When the hold ends by itself (within a minute): {HOW}.",
)
@by_option
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def hold(
    context: click.Context,
    *,
    groups: tuple[str, ...],
    everything: bool,
    reason: str,
    until: str | None,
    by: str | None,
    as_json: bool,
) -> None:
    """`aci-hooks hold GROUP --reason R`."""
    from worker.record.overrides import hold as hold_record

    reason, now = in_unicode(reason).strip(), datetime.now(UTC)
    if not reason:
        raise click.BadParameter("must not be empty", param_hint="--reason")
    end = _end(until, now)
    how_long = f" until {when(end)} UTC" if end else ""

    def write(deployment: Deployment, target: TargetId) -> Changed:
        record, etag = deployment.records.load(target)
        held = hold_record(record, reason, now, by, end)
        changed = held.with_deed(f"held{how_long}: {reason}", by, now)
        # Unlike `release`, this starts no timer: a hold asks for nothing, and the next look finds it.
        deployment.records.save(changed, etag)
        return record, changed

    def say(before: Record, _after: Record) -> str:
        return f"{before.target} is held{how_long}: {reason}{_replaced(before)}"

    deployment: Deployment = context.obj()
    targets = _targets(deployment, groups, everything=everything)
    _report(_change_all(deployment, targets, write, "holding"), say, as_json=as_json)


@click.command(
    help=f"Resume updates of GROUP, with the newest push of each container. {GROUP_HELP}",
    short_help="Resume updates of GROUP, with the newest push.",
    epilog=example("release shop"),
)
@click.argument("groups", metavar="[GROUP]…", nargs=-1, shell_complete=complete_group)
@click.option("--all", "everything", is_flag=True, help="Every target.")
@by_option
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def release(
    context: click.Context,
    *,
    groups: tuple[str, ...],
    everything: bool,
    by: str | None,
    as_json: bool,
) -> None:
    """`aci-hooks release GROUP`."""
    from worker.controller.timers import change
    from worker.record.overrides import release as release_record

    now = datetime.now(UTC)
    deployment: Deployment = context.obj()

    def released(record: Record) -> Record:
        changed = release_record(record)
        return changed.with_deed("released", by, now) if record.hold else changed

    def write(deployment: Deployment, target: TargetId) -> Changed:
        return change(deployment.ports, target, released)

    def say(before: Record, after: Record) -> str:
        done = f"{before.target} {'is released' if before.hold else 'was not held by hand'}"
        images = ", ".join(sorted(waiting_images(after)))
        # A group may be held in several ways, and `release` ends only one of them.
        if still := _still_held(deployment, after):
            waiting = f"; waiting: {images}" if images else ""
            return f"{done}, but its updates still wait: {still}{waiting}"
        applying = f"; applying {images}" if images else ""
        return f"{done}{applying}"

    targets = _targets(deployment, groups, everything=everything)
    _report(_change_all(deployment, targets, write, "releasing"), say, as_json=as_json)


def until_written(write: Callable[[], Changed]) -> Changed:
    """The record before and after, however often others write it first.

    A worker may write a record several times within a second, so an operator must not lose against it after some tries.
    """
    from worker.ports import Conflict

    while True:
        try:
            return write()
        except Conflict:
            continue


def waiting_images(record: Record) -> set[str]:
    """The images of the pushes that wait."""
    return {str(message.push.image) for message in record.waiting().values()}


def _replaced(before: Record) -> str:
    """The hold that this one takes the place of, as that of somebody else may have had a better reason."""
    if before.hold is None:
        return ""
    return f" (before, since {when(before.hold.since)} UTC: {before.hold.reason})"


def _end(until: str | None, now: datetime) -> datetime | None:
    if until is None:
        return None
    end = ahead(until, now)
    if end is None:
        raise click.BadParameter(
            f"{until!r} is not a time; write {HOW}", param_hint="--until"
        )
    if end <= now:
        raise click.BadParameter(
            f"{when(end)} UTC is in the past", param_hint="--until"
        )
    return end.astimezone(UTC)


def _targets(
    deployment: Deployment, groups: Sequence[str], *, everything: bool
) -> list[TargetId]:
    names_groups = bool(groups)
    if everything == names_groups:  # both, or neither
        raise click.UsageError("Name the groups, or use --all.")
    if not everything:
        return list(dict.fromkeys(find_group(deployment, group) for group in groups))
    # Groups that can't be listed now, and so are not targets, may have a record.
    known = {*known_targets(deployment), *deployment.records.all()}
    return sorted(known, key=lambda target: target.key)


def _change_all(
    deployment: Deployment,
    targets: Sequence[TargetId],
    write: Callable[[Deployment, TargetId], Changed],
    doing: str,
) -> list[tuple[TargetId, Changed | str]]:
    """The records before and after, or why one could not be written: that keeps no other from being."""
    from shared.errors import RemoteError

    def one(target: TargetId) -> Changed | str:
        try:
            return until_written(lambda: write(deployment, target))
        except RemoteError as error:
            if len(targets) == 1:
                raise
            return str(error)

    return list(zip(targets, side_by_side(one, targets, doing), strict=True))


@dataclass(frozen=True, slots=True)
class _Told:
    """What became of one group, in words."""

    target: TargetId
    detail: str
    has_failed: bool

    @property
    def line(self) -> str:
        """For people. An error does not name the group by itself."""
        return f"{self.target}: {self.detail}" if self.has_failed else self.detail

    def as_json(self) -> dict[str, object]:
        """For programs."""
        done = not self.has_failed
        return {"target": self.target.model_dump(), "done": done, "detail": self.detail}


def _told(
    target: TargetId, done: Changed | str, say: Callable[[Record, Record], str]
) -> _Told:
    if isinstance(done, str):
        return _Told(target, done, has_failed=True)
    return _Told(target, say(*done), has_failed=False)


def _report(
    changes: Sequence[tuple[TargetId, Changed | str]],
    say: Callable[[Record, Record], str],
    *,
    as_json: bool,
) -> None:
    told = [_told(target, done, say) for target, done in changes]
    if as_json:
        print_json([answer.as_json() for answer in told])
    elif not told:
        print_line("no targets")
    else:
        for answer in told:
            print_line(answer.line, err=answer.has_failed)
    failures = sum(answer.has_failed for answer in told)
    if failures:
        print_line(f"{count_of(failures, 'group')} could not be changed", err=True)
    sys.exit(1 if failures else 0)


def _still_held(deployment: Deployment, record: Record) -> str:
    """What keeps the group's updates back though no record does; nothing if that can't be told.

    The record is written by then. So it is reported if Azure is down, but that is not a failure of the command.
    """
    from shared.errors import RemoteError

    try:
        return " and ".join(held_back(record, deployment.arm.get(record.target)))
    except RemoteError as error:
        print_line(
            f"can't tell whether it is held by a resource tag or stopped: {error}",
            err=True,
        )
        return ""
