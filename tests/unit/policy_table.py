"""The table of decisions, for the tests; `python -m tests.unit.policy_table` renders it into docs/policies.md."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import yaml

from worker.policies.parse import Decision, Policy, Skip, Update, parse_policy
from worker.targets.file import parse_targets

TABLE = Path(__file__).with_suffix(".yaml")
PAGE = Path(__file__).parents[2] / "docs" / "policies.md"
_BEGIN, _END = "<!-- table of decisions: begin -->\n", "<!-- table of decisions: end -->\n"


class Row(NamedTuple):
    """One question to a policy, and its answer. `running` is None where nobody knows the tag.

    `policy` is the short form or, in braces, the long one as YAML.
    """

    title: str
    policy: str
    running: str | None
    pushed: str
    decision: Decision


def read_table() -> list[Row]:
    """All rows, in the order of the file."""
    sections = yaml.load(TABLE.read_text(), Loader=yaml.BaseLoader)  # every scalar as written
    return [
        Row(section["title"], row["policy"], row.get("running"), row["pushed"], _decision(row))
        for section in sections
        for row in section["rows"]
    ]


def _decision(row: dict[str, str]) -> Decision:
    return Update(row["update"]) if "update" in row else Skip(row["skip"])


def policy_of(text: str) -> Policy:
    """The policy that a row's text stands for; the long form is read as a part of a targets file."""
    if not text.startswith("{"):
        return parse_policy(text)
    file = f"targets: [{{container_group: shop, resource_group: web, containers: {{web: {{policy: {text}}}}}}}]"
    return parse_targets(file, "subscription").targets[0].containers["web"].policy


def render(page: str) -> str:
    """The page with the table as it is now."""
    before, rest = page.split(_BEGIN)
    _, after = rest.split(_END)
    return before + _BEGIN + "".join(_sections()) + _END + after


def _sections() -> list[str]:
    lines = []
    for title, rows in groupby(read_table(), key=lambda row: row.title):
        lines.append(f"\n### {title}\n\n| policy | running | pushed | | reason |\n|---|---|---|---|---|\n")
        lines += [_line(row) for row in rows]
    return [*lines, "\n"]


def _line(row: Row) -> str:
    verdict = "**update**" if isinstance(row.decision, Update) else "skip"
    running = "*by digest*" if row.running is None else _code(row.running)
    reason = row.decision.reason.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
    return f"| {_code(row.policy)} | {running} | {_code(row.pushed)} | {verdict} | {reason} |\n"


def _code(text: str) -> str:
    return f"`{text if text.isprintable() else ascii(text)}`".replace("|", "\\|") if text else "*empty*"


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text()))
