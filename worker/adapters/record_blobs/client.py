"""The records' blobs: read, and written by compare-and-swap on the ETag."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from azure.storage.blob import BlobProperties, ContainerClient
from pydantic import ValidationError

from shared.azure_errors import translated
from shared.credential import azure_credential
from shared.errors import RemoteError
from shared.message import TargetId
from shared.settings import WorkerSettings
from worker.adapters.record_blobs.container import (
    CHANGED,
    NEW,
    NOT_THERE,
    BlobContainer,
    unchanged,
)
from worker.adapters.record_blobs.texts import (
    PREFIX,
    blob_name,
    read_record,
    target_of,
    unreadable,
)
from worker.adapters.record_blobs.turns import Turns
from worker.ports import Conflict
from worker.record.record import Record
from worker.record.trace import End, Trace

LARGEST = 32 * 1024 * 1024
"""Bytes of a record: several times what a full one has."""
_TRACE = "trace.json"
_TRIES, _PAUSE = 20, 0.2


class Records(BlobContainer):
    """The records of all groups, one blob each; and the workers' `turns`. Every method raises RemoteError."""

    def __init__(self, client: ContainerClient) -> None:
        super().__init__(client)
        self.turns = Turns(self)

    def load(self, target: TargetId) -> tuple[Record, str | None]:
        """A group's record and its ETag; an empty record and None where there is none yet."""
        try:
            with translated("records"):
                blob = self.client.download_blob(blob_name(target))
                # Whoever can write there must not end a worker, and with it the updates of all other groups.
                if blob.size > LARGEST:
                    raise unreadable(target, f"it has {blob.size} bytes")
                text = blob.readall()
        except RemoteError as error:
            if error.code not in NOT_THERE:
                raise
            return Record(target=target), None
        # The ETag is that of this very download. Asking for it by another request could give that of a newer record.
        return read_record(text, target), blob.properties.etag

    def save(self, record: Record, etag: str | None) -> str:
        """Write a record if it is still the one that was loaded with `etag`; the new ETag. Raises Conflict."""
        # Compare and swap: a record that was never there must still not be there, any other must be unchanged.
        condition = unchanged(etag) if etag else NEW
        text = record.model_dump_json(exclude_none=True).encode()

        def upload() -> str:
            blob = self.blob(blob_name(record.target))
            return str(blob.upload_blob(text, **condition)["etag"])

        try:
            return self.written(upload)
        except RemoteError as error:
            # A write that took effect without an answer is a conflict when it is tried again (worker.ports.Ports.save).
            if error.code in CHANGED:
                raise Conflict(str(record.target)) from error
            raise

    def trace(self) -> Trace:
        """How pushes ended that no record tells of. What can't be read counts as nothing: it is no more than a log."""
        return self._load_trace()[0]

    def leave_trace(self, end: End) -> None:
        """Remember the end of such a push."""
        for _ in range(_TRIES):
            trace, condition = self._load_trace()
            text = trace.with_end(end).model_dump_json(exclude_none=True).encode()
            blob = self.blob(_TRACE)
            try:
                self.written(partial(blob.upload_blob, text, **condition))
            except RemoteError as error:
                if error.code not in CHANGED:
                    raise
                time.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - jitter: other workers write it, too
                continue
            return
        raise RemoteError(
            "records", 412, "Conflict", f"others wrote {_TRACE} {_TRIES} times in a row"
        )

    def _load_trace(self) -> tuple[Trace, dict[str, Any]]:
        """The trace, and the condition under which it may be written."""
        try:
            with translated("records"):
                blob = self.client.download_blob(_TRACE)
                text = b"" if blob.size > LARGEST else blob.readall()
        except RemoteError as error:
            if error.code not in NOT_THERE:
                raise
            return Trace(), NEW
        match = unchanged(blob.properties.etag)
        try:
            return Trace.model_validate_json(text), match
        except ValidationError:
            return Trace(), match

    def versions(self) -> Iterator[tuple[TargetId, str]]:
        """Every group that has a record, with the record's ETag. Blobs that nobody of ours named are left out."""
        for blob in self._found():
            if target := target_of(blob.name):
                # A list gives the ETag without the quotes that it has in a header.
                bare = str(blob.etag).strip('"')
                yield target, f'"{bare}"'

    def all(self) -> Iterator[TargetId]:
        """Every group that has a record."""
        yield from (target for target, _ in self.versions())

    def foreign(self) -> list[str]:
        """The names of the blobs under `groups/` that are not names of records."""
        return [blob.name for blob in self._found() if target_of(blob.name) is None]

    def _found(self) -> Iterator[BlobProperties]:
        try:
            with translated("records"):
                yield from self.client.list_blobs(name_starts_with=PREFIX)
        except RemoteError as error:
            if error.code not in NOT_THERE:
                raise


def open_records(
    settings: WorkerSettings, *, timeouts: tuple[float, float] = (5, 20)
) -> Records:
    """The records of these settings. The SDK's own retries are off: the step has its own."""
    options: dict[str, Any] = {
        "retry_total": 0,
        "connection_timeout": timeouts[0],
        "read_timeout": timeouts[1],
    }
    if settings.connection_string:
        connection = settings.connection_string.get_secret_value()
        return Records(
            ContainerClient.from_connection_string(
                connection, settings.records, **options
            )
        )
    url = f"https://{settings.storage_account}.blob.{settings.cloud.storage_suffix}"
    return Records(
        ContainerClient(
            url, settings.records, credential=azure_credential(settings), **options
        )
    )
