"""Cleaning: secrets are redacted in everything that a group says, before any of it is kept."""

from __future__ import annotations

import contextlib

from shared.errors import RemoteError
from worker.groups.group import ContainerGroup
from worker.ports import Ports
from worker.targets.target import Target


class Cleaning:
    """Redacts groups, for many threads at once."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._learnt: dict[str, object] = {}

    def cleaned(
        self, group: ContainerGroup, target: Target, generation: int
    ) -> ContainerGroup:
        """The group with the secrets redacted in everything that it says. `generation` is that of its last change."""
        # Before any of that is kept: evidence is cut, and half of a secret can't be recognised any more. Another worker
        # may have put the secrets onto the group, so this one may know none of them yet. It reads them once for each
        # change: if they were rotated since the change before, their new values are what is on the group now.
        learnt = (frozenset(target.secrets.items()), generation)
        is_known = self._learnt.get(target.id.key) == learnt
        may_quote_a_secret = group.says_something and group.withheld()
        if may_quote_a_secret and not is_known:
            # A source that can't be read now does not stop the look. What is known already is masked, and the next look
            # tries again.
            with contextlib.suppress(RemoteError):
                self._ports.resolve(dict(target.secrets))
                self._learnt[target.id.key] = learnt
        return group.redacted(self._ports.redact)
