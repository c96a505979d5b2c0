"""`aci-hooks schema`: the JSON Schema of the targets file, for editors and linters."""

from __future__ import annotations

import click

from worker.commands.output import example, print_json


@click.command(
    help="Print the JSON Schema of the targets file. Editors complete and check the file by it: with "
    "`# yaml-language-server: $schema=targets.schema.json` as its first line, for instance.",
    short_help="The JSON Schema of the targets file, for editors.",
    epilog=example("schema > targets.schema.json"),
)
def schema() -> None:
    """`aci-hooks schema`."""
    from worker.targets.file import json_schema

    print_json(json_schema())
