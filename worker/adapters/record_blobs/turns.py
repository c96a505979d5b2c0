"""Turns: what one worker alone may do at a time, or in an interval; and when something was done last.

Workers know nothing of each other. What they agree on is in blobs beside the records, by storage's own conditions and
leases.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from azure.storage.blob import BlobClient, BlobLeaseClient

from shared.azure_errors import translated
from shared.errors import RemoteError
from worker.adapters.record_blobs.container import (
    CHANGED,
    NEW,
    NOT_THERE,
    BlobContainer,
    unchanged,
)
from worker.adapters.record_blobs.texts import is_recent


class Turns:
    """The turns of all workers, one blob for each kind. Every method raises RemoteError."""

    def __init__(self, container: BlobContainer) -> None:
        self._container = container

    def claim(self, name: str, now: datetime, interval: timedelta) -> bool:
        """May this process do what only one may do in each `interval`? The first that asks may."""
        blob = self._blob(name)
        # Several workers may find at once that it is due. Only one of their writes meets the condition.
        condition = NEW
        try:
            with translated("records"):
                last = blob.download_blob()
                condition = unchanged(last.properties.etag)
                if is_recent(last.readall(), now, interval):
                    return False
        except RemoteError as error:
            if error.code not in NOT_THERE:
                raise
        try:
            self._container.written(
                lambda: blob.upload_blob(now.isoformat().encode(), **condition)
            )
        except RemoteError as error:
            if error.code in CHANGED:
                return False
            raise
        return True

    def take(self, name: str, worker: str, seconds: int) -> bool:
        """Is it this worker's turn for so many seconds (15 to 60)? It stays so as long as the worker keeps asking.

        `worker` is a UUID. The storage's own clock decides.
        """
        # A lease that is acquired again under its own id is prolonged.
        # https://learn.microsoft.com/rest/api/storageservices/lease-blob
        blob = self._blob(name)
        try:
            return _is_leased(blob, worker, seconds)
        except RemoteError as error:
            if error.code not in NOT_THERE:
                raise
        # Nobody has had a turn yet, so there is nothing to lease. Another worker may create the blob first.
        try:
            self._container.written(lambda: blob.upload_blob(b"", **NEW))
        except RemoteError as error:
            if error.code not in CHANGED:
                raise
        return _is_leased(blob, worker, seconds)

    def end(self, name: str, worker: str) -> None:
        """End this worker's turn, so that another worker can begin its own at once."""
        with translated("records"):
            BlobLeaseClient(self._blob(name), worker).release()

    def note_time(self, name: str, now: datetime) -> None:
        """Remember when something was done last."""
        blob = self._blob(name)
        # Without a condition: of two workers that have done it, either time will do.
        self._container.written(
            lambda: blob.upload_blob(now.isoformat().encode(), overwrite=True)
        )

    def noted_time(self, name: str) -> datetime | None:
        """When it was done last; None if nobody knows."""
        try:
            with translated("records"):
                text = self._blob(name).download_blob().readall()
        except RemoteError as error:
            if error.code not in NOT_THERE:
                raise
            return None
        try:
            noted = datetime.fromisoformat(text.decode())
        except ValueError:
            return None
        # A time without its offset can't be compared with ours, so somebody else must have written it.
        return noted if noted.tzinfo else None

    def _blob(self, name: str) -> BlobClient:
        return self._container.blob(f"{name}.json")


def _is_leased(blob: BlobClient, lease: str, seconds: int) -> bool:
    """Is the blob leased under this id now? False if somebody else has leased it."""
    try:
        with translated("records"):
            blob.acquire_lease(seconds, lease_id=lease)
    except RemoteError as error:
        if error.code != "LeaseAlreadyPresent":
            raise
        return False
    return True
