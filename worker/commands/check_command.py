"""`aci-hooks check`: prints what worker.commands.check finds."""

from __future__ import annotations

import sys

import click

from worker.commands.output import example, print_json, print_line, print_table, text

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
        print_json(
            [
                {
                    "check": finding.what,
                    "ok": finding.state != "FAILED",
                    "detail": finding.detail,
                }
                for finding in findings
            ]
        )
    else:
        shown = [finding for finding in findings if finding.state != "ok" or not short]
        rows = [
            (text(one.state, _STYLES[one.state]), one.what, one.detail) for one in shown
        ]
        print_table(
            ("", "checked", "result"),
            rows,
            empty="everything is ok" if findings else "nothing to check",
        )
        if short:
            print_line(f"{len(findings) - len(shown)} of {len(findings)} are ok")
    failed = {finding.what for finding in findings if finding.state == "FAILED"}
    sys.exit(2 if "settings" in failed else 1 if failed else 0)
