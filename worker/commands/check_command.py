"""`aci-hooks check`: prints what worker.commands.check finds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from worker.commands.output import example, print_json, print_line, print_table, text

if TYPE_CHECKING:
    from worker.commands.finding import Finding

_STYLES = {
    "ok": "green",
    "HELD": "yellow",
    "missing": "yellow",
    "hint": "yellow",
    "FAILED": "bold red",
}


@click.command(
    help="Check settings, targets file, storage, every target and every secret. Reads only. "
    "Exit code 1 on a failure, 2 for wrong settings.",
    short_help="Is everything in place for a rollout?",
    epilog=example("check --json"),
)
@click.option("--short", is_flag=True, help="Only what is not ok, and how many are.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def check(context: click.Context, *, short: bool, as_json: bool) -> None:
    """`aci-hooks check`."""
    from worker.commands import check as looking

    findings = list(looking.check(context.obj))
    if as_json:
        print_json([_as_json(finding) for finding in findings])
    else:
        _print(findings, short=short)
    sys.exit(_exit_code(findings))


def _as_json(finding: Finding) -> dict[str, object]:
    is_ok = finding.state != "FAILED"
    return {"check": finding.what, "ok": is_ok, "detail": finding.detail}


def _print(findings: list[Finding], *, short: bool) -> None:
    shown = [finding for finding in findings if finding.state != "ok" or not short]
    rows = [
        (text(one.state, _STYLES[one.state]), one.what, one.detail) for one in shown
    ]
    empty = "everything is ok" if findings else "nothing to check"
    print_table(("", "checked", "result"), rows, empty=empty)
    if short:
        print_line(f"{len(findings) - len(shown)} of {len(findings)} are ok")


def _exit_code(findings: list[Finding]) -> int:
    failed = {finding.what for finding in findings if finding.state == "FAILED"}
    # Wrong settings are 2 in every command, so that a script can tell them from a failure of Azure or storage.
    if "settings" in failed:
        return 2
    return 1 if failed else 0
