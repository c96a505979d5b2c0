"""aci-hooks-worker: brings pushed images onto container groups. Composition root and command line."""

from __future__ import annotations

import os

import click

from shared.errors import RemoteError
from shared.printable import printable
from worker.commands.check import check
from worker.commands.dead_letters import dead_letters
from worker.commands.history import history
from worker.commands.hold import hold, release, rollback
from worker.commands.opening import Opening
from worker.commands.plan import plan
from worker.commands.push import push
from worker.commands.run import run
from worker.commands.schema import schema
from worker.commands.sweep import sweep


class Commands(click.Group):
    """The commands; an outside system that fails one of them is told in a line, never in a stack trace."""

    def invoke(self, context: click.Context) -> object:
        """Run a command."""
        try:
            return super().invoke(context)
        except RemoteError as error:
            raise click.ClickException(printable(str(error))) from error


@click.group(
    cls=Commands,
    # While a shell completes a line, no command runs that could open it.
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 110,
        "obj": Opening(None, os.environ),
    },
)
@click.version_option(package_name="aci-hooks")
@click.pass_context
def main(context: click.Context) -> None:
    """Bring pushed images onto running Azure container groups, in place.

    Everything is configured by environment variables; the README lists them. These it can't do without:

    \b
      AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT for its name
      ACI_HOOKS_TARGETS, a file; or for one container group alone:
      AZURE_SUBSCRIPTION_ID, RESOURCE_GROUP_NAME and CONTAINER_GROUP_NAME

    \b
      aci-hooks-worker check                  is everything there that a rollout needs?
      aci-hooks-worker plan acme/shop:v2      what would a push of it do?
      aci-hooks-worker run                    work until SIGTERM
      aci-hooks-worker dead-letters list      what could not be done, and why?

    \b
    Exit codes: 0 done, 1 something failed or could not be looked at, 2 wrong settings or arguments.

    \b
    Completion of commands, options and groups, for ~/.bashrc, ~/.zshrc, ~/.config/fish/config.fish:
      eval "$(_ACI_HOOKS_WORKER_COMPLETE=bash_source aci-hooks-worker)"
      eval "$(_ACI_HOOKS_WORKER_COMPLETE=zsh_source aci-hooks-worker)"
      _ACI_HOOKS_WORKER_COMPLETE=fish_source aci-hooks-worker | source
    """
    context.obj = Opening(context.invoked_subcommand, os.environ)


for command in (check, dead_letters, history, hold, plan, push, release, rollback, run, schema, sweep):
    main.add_command(command)


if __name__ == "__main__":
    main()
