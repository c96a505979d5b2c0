"""One look at a group as a pure function: received pushes are admitted, then the group is reconciled.

The controller carries the result out; `plan` only says what it would be.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.message import UpdateMessage
from worker.core.admit import admit
from worker.core.following import Following, followings
from worker.core.reconcile import reconcile
from worker.core.resolve import no_image, not_there, resolve, unresolved, was_missing
from worker.core.rules import Action, RolloutRules
from worker.groups.group import ContainerGroup
from worker.record.lookups import Found
from worker.record.record import Record
from worker.targets.target import Target


@dataclass(frozen=True, slots=True)
class Absence:
    """The registry says that the image does not exist."""

    code: str
    detail: str


Digest = Found | str | Absence | None
"""What is known of a pushed image: all that its registry tells; the digest alone, by a sender that is believed; that it
does not exist; or nothing."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that a look depends on. `now` is by Azure's clock."""

    record: Record
    group: ContainerGroup
    target: Target
    rules: RolloutRules
    now: datetime

    def admitted(self) -> Record:
        """The record with the received pushes admitted."""
        # A group in transition does not show what ran before, so a new container would get a wrong last good image.
        # Its pushes stay in the inbox until the operation is over.
        unknown = self.group.images.keys() - self.record.containers.keys()
        if self.group.in_transition and unknown:
            return self.record
        return admit(self.record, self.group, self.target, self.now)

    def to_look_up(self, record: Record) -> UpdateMessage | None:
        """The push whose digest is the next one to ask the registry for, if any."""
        return unresolved(record, self._followed)

    def looked_up(
        self,
        record: Record,
        message: UpdateMessage,
        digest: Digest,
    ) -> Record:
        """The record after the registry's answer."""
        if isinstance(digest, Absence):
            return not_there(record, message, digest.code, digest.detail, self.now)
        if not isinstance(digest, Found) and was_missing(record, message):
            # The registry's last word holds, whatever the sender says: it is down now, or throttles.
            why = f"{message.push.image} did not exist in its registry, which gives no answer now"
            return not_there(record, message, "ManifestUnknown", why, self.now)
        found = Found(digest) if isinstance(digest, str) else digest
        if found and found.artifact:
            return no_image(record, message, found.artifact, self.now)
        return resolve(record, self.group, self._followed, message, found, self.now)

    @property
    def _followed(self) -> dict[str, Following]:
        return followings(self.group.images, self.target)

    def reconciled(self, record: Record) -> tuple[Record, Action]:
        """The record to be written, and the action to take after that."""
        return reconcile(record, self.group, self.rules, self.now)
