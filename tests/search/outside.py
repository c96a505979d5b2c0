"""The outside systems in memory, as tests.fakes has them; and late PUTs, clocks apart, and owners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import lru_cache

from shared.errors import RemoteError
from shared.leased_message import LeasedMessage
from shared.message import TargetId
from tests.fakes import Clock, MemoryQueue, MemoryRecords, SimulatedGroups
from worker.adapters.record_blobs.texts import read_record
from worker.groups.group import ContainerGroup
from worker.record.record import Record

Late = Callable[[], bool]
"""What happens before a PUT that comes late takes effect. Does its worker die then?"""


def _unobserved(_call: str) -> None:
    pass


class Killed(BaseException):
    """The worker died here."""


class SearchGroups(SimulatedGroups):
    """Container groups whose clock is another one than the worker's, and whose next PUT may land late."""

    def __init__(self, clock: Clock, behind: Callable[[], float]) -> None:
        super().__init__(clock)
        self.late: Late | None = None
        self.sends: Callable[[bytes], None] = lambda _definition: None
        """Is told when a change is sent."""
        self.lands: Callable[[float], None] = lambda _seconds: None
        """Is told, before a PUT takes effect, for how many seconds it was on its way."""
        self._clock = clock
        self._behind = behind

    def get(self, target: TargetId) -> ContainerGroup:
        """The group as it is; and how far its clock is ahead of the worker's."""
        return ContainerGroup(super().get(target).raw, timedelta(seconds=self._behind()))

    def put(self, target: TargetId, definition: bytes, check_lease: Callable[[], None]) -> None:
        """Bring a definition onto the group; late, if it is to be so."""
        check_lease()
        self.sends(definition)
        sent_at = self._clock.seconds()
        self.probe("before put")
        late, self.late = self.late, None
        dies = late() if late else False
        self.lands(self._clock.seconds() - sent_at)
        try:
            self._arm("PUT", target, body=definition)
        except RemoteError:
            if not dies:
                raise
        if dies:
            raise Killed  # whatever the answer is, nobody is there to read it
        self.probe("after put")

    def by_owner(self, target: TargetId, method: str, action: str = "", body: bytes = b"") -> dict[str, object] | None:
        """What the group's owner does past the worker; None if Azure refuses it."""
        try:
            return self._arm(method, target, action, body)
        except RemoteError:
            return None


class SearchQueue(MemoryQueue):
    """A queue that is asked for messages over the same network as for everything else. It remembers what it got."""

    def __init__(self, clock: Clock, visibility_timeout: int = 30, name: str = "updates") -> None:
        super().__init__(clock, visibility_timeout, name)
        self.sent: list[str] = []

    def send(self, text: str, delay: float = 0) -> None:
        """Add a message."""
        probe, self.probe = self.probe, _unobserved
        probe("before send")
        super().send(text, delay)
        self.sent.append(text)
        self.probe = probe
        probe("after send")

    def receive(self, limit: int) -> list[LeasedMessage]:
        """Lease up to `limit` messages."""
        self.probe("before receive")
        return super().receive(limit)

    def renew(self, message: LeasedMessage) -> None:
        """Lease it for another visibility timeout."""
        self.probe("before renew")
        super().renew(message)


class SearchRecords(MemoryRecords):
    """The records, each text of which is read once alone: they are frozen values."""

    def load(self, target: TargetId) -> tuple[Record, str | None]:
        """A group's record and its ETag."""
        self.probe("before load")
        known = self.seen(target)
        self.probe("after load")
        return known

    def versions(self) -> Iterator[tuple[TargetId, str]]:
        """Every group that has a record, with its ETag."""
        self.probe("before versions")
        yield from super().versions()

    def seen(self, target: TargetId) -> tuple[Record, str | None]:
        """A group's record and its ETag for an onlooker, whom no trouble meets."""
        text, etag = self._blobs.get(target, (None, None))
        return (Record(target=target) if text is None else _read(text, target)), etag


@lru_cache(maxsize=64)
def _read(text: str, target: TargetId) -> Record:
    return read_record(text, target)
