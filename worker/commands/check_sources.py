"""What `aci-hooks check` finds about the secrets that do not belong to a target: logins of registries, recipients."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from worker.adapters.notifications.destination import destination_of
from worker.adapters.notifications.services import Unfit
from worker.commands.finding import Finding, State, finding_of
from worker.targets.file import TargetsFile
from worker.targets.recipients import OUTCOMES, Recipient
from worker.wiring.deployment import Deployment


def check_sources(deployment: Deployment, file: TargetsFile) -> Iterator[Finding]:
    """Each entry of `registries` and of `notify` in the targets file."""
    for key, entry in file.registries.items():
        login = {"username": entry.username, "password": entry.password}
        sources = {
            f"registries/{key}.{name}": source
            for name, source in login.items()
            if source
        }
        yield finding_of(f"registry {key}", partial(_check_login, deployment, sources))
    for number, recipient in enumerate(file.notify):
        yield finding_of(
            f"notify[{number}]",
            partial(_check_recipient, deployment, recipient, f"notify[{number}]"),
        )


def _check_login(deployment: Deployment, sources: dict[str, str]) -> tuple[str, State]:
    deployment.secrets.resolve(sources)
    return "", "ok"


def _check_recipient(
    deployment: Deployment, recipient: Recipient, place: str
) -> tuple[str, State]:
    try:
        # Nothing is sent: `aci-hooks notify-test` does that. The URL is a secret, so only the service's name is told.
        service = destination_of(deployment.secrets.read(recipient.source, place)).name
    except Unfit as error:
        return (
            f"nothing can be sent to the URL in {recipient.source}: {error}",
            "FAILED",
        )
    outcomes = ", ".join(word for word in OUTCOMES if word in recipient.on)
    groups = f" of {', '.join(recipient.groups)}" if recipient.groups else ""
    return f"{service}: {outcomes}{groups}", "ok"
