"""aci-hooks-worker: brings pushed images onto container groups.

The command line, which alone reads settings from the environment.

The commands are named here by place and imported when they are needed, so that `--help` and completion are quick.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import click

from worker.commands.lazily import LazyGroup, Place
from worker.commands.opening import Opening

COMMANDS: Mapping[str, Place] = {
    "check": Place(
        "worker.commands.check_command:check", "Is everything in place for a rollout?"
    ),
    "dashboard": Place(
        "worker.commands.dashboard:dashboard", "The status page, for a browser."
    ),
    "dead-letters": Place(
        "worker.commands.dead_letters:dead_letters",
        "Failed messages: list, show, redrive, purge.",
    ),
    "follow": Place(
        "worker.commands.follow:follow",
        "What happens to a push or a group, until it has ended?",
    ),
    "history": Place(
        "worker.commands.history:history",
        "How did the last pushes end, and which groups are held?",
    ),
    "hold": Place("worker.commands.hold:hold", "Stop updates of GROUP; pushes wait."),
    "init": Place(
        "worker.commands.init:init", "Print a targets file for the groups that exist."
    ),
    "notify-test": Place(
        "worker.commands.notify_test:notify_test", "Send a test notification."
    ),
    "plan": Place(
        "worker.commands.plan:plan", "What would a push of IMAGE do, and why?"
    ),
    "push": Place("worker.commands.push:push", "Enqueue a push of IMAGE by hand."),
    "release": Place(
        "worker.commands.hold:release", "Resume updates of GROUP, with the newest push."
    ),
    "rollback": Place(
        "worker.commands.rollback:rollback",
        "Bring GROUP back to an earlier image, and hold it.",
    ),
    "run": Place("worker.commands.run:run", "Process the queue until SIGTERM."),
    "schema": Place(
        "worker.commands.schema:schema",
        "The JSON Schema of the targets file, for editors.",
    ),
    "status": Place(
        "worker.commands.status:status",
        "What runs, what is under way, and what needs attention?",
    ),
    "sweep": Place(
        "worker.commands.sweep:sweep", "Enqueue pushes that no webhook reported."
    ),
}


class Commands(LazyGroup):
    """The commands; an outside system that fails one of them is told in a line, never in a stack trace."""

    def invoke(self, context: click.Context) -> object:
        """Run a command."""
        # Not above: a shell that completes a word imports this module, too, and should not wait for more.
        from shared.errors import RemoteError
        from shared.printable import printable

        try:
            return super().invoke(context)
        except RemoteError as error:
            raise click.ClickException(printable(str(error))) from error


def command_line(places: Mapping[str, Place]) -> click.Group:
    """A command line of these commands."""

    @click.group(
        cls=Commands,
        places=places,
        # While a shell completes a line, no command runs that could open it.
        context_settings={
            "help_option_names": ["-h", "--help"],
            "max_content_width": 110,
            "obj": Opening(os.environ),
        },
    )
    @click.version_option(package_name="aci-hooks")
    @click.pass_context
    def main(context: click.Context) -> None:
        """Bring pushed images onto running Azure container groups, in place.

        Everything is configured by environment variables; the README lists them. Required are:

        \b
          AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT for its name
          ACI_HOOKS_TARGETS, a file; or, for a single container group:
          AZURE_SUBSCRIPTION_ID, RESOURCE_GROUP_NAME and CONTAINER_GROUP_NAME

        \b
          aci-hooks check                  is everything in place for a rollout?
          aci-hooks plan acme/shop:v2      what would a push of this image do?
          aci-hooks run                    work until SIGTERM
          aci-hooks status                 what runs, what is under way, and what needs attention?
          aci-hooks dead-letters list      which messages failed, and why?

        \b
        Exit codes: 0 done, 1 something failed or could not be looked at, 2 wrong settings or arguments, 3 not ended
        in time.

        \b
        Completion of commands, options and groups, for ~/.bashrc, ~/.zshrc, ~/.config/fish/config.fish:
          eval "$(_ACI_HOOKS_COMPLETE=bash_source aci-hooks)"
          eval "$(_ACI_HOOKS_COMPLETE=zsh_source aci-hooks)"
          _ACI_HOOKS_COMPLETE=fish_source aci-hooks | source
        """
        context.obj = Opening(os.environ)

    return main


main = command_line(COMMANDS)

if __name__ == "__main__":
    main(prog_name="aci-hooks-worker")
