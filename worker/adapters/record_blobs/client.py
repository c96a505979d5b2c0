"""The records' blobs: read, and written by compare-and-swap on the ETag. The one importer of azure.storage.blob."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.storage.blob import (
    BlobClient,
    BlobLeaseClient,
    BlobProperties,
    ContainerClient,
)
from pydantic import ValidationError

from shared import storage_actions
from shared.azure_errors import translated
from shared.credential import azure_credential
from shared.errors import RemoteError
from shared.message import TargetId
from shared.settings import WorkerSettings
from worker.adapters.record_blobs.texts import (
    PREFIX,
    blob_name,
    is_recent,
    read_record,
    target_of,
)
from worker.ports import Conflict
from worker.record.record import Record
from worker.record.trace import End, Trace

T = TypeVar("T")

_TRACE = "trace.json"
_TRIES, _PAUSE = 20, 0.2
_NOT_THERE = frozenset({"BlobNotFound", "ContainerNotFound", "ResourceNotFound"})
_CHANGED = frozenset({"ConditionNotMet", "BlobAlreadyExists"})


class Records:
    """The records of all groups, one blob each. Every method raises RemoteError."""

    def __init__(self, client: ContainerClient) -> None:
        self.name = client.container_name
        self._client = client

    def exists(self) -> bool:
        """Is the blob container there?"""
        with translated("records"):
            return self._client.exists()

    def ensure(self) -> None:
        """Create the blob container unless it exists."""
        try:
            with translated("records"):
                self._client.create_container()
        except RemoteError as error:
            if error.code != "ContainerAlreadyExists":
                raise

    def missing_actions(self) -> list[str]:
        """What the worker's role must allow and this one does not, each tried by a request that changes nothing.

        Raises RemoteError if the container can't be asked.
        """
        blob = self._client.get_blob_client("check")
        # No blob ever has this ETag, so the write is refused in any case: by the role, or else by the condition.
        never: dict[str, Any] = {
            "overwrite": True,
            "etag": '"0x0"',
            "match_condition": MatchConditions.IfNotModified,
        }
        tries: dict[str, Callable[[], object]] = {
            storage_actions.READ_BLOB: blob.get_blob_properties,
            storage_actions.WRITE_BLOB: lambda: blob.upload_blob(b"", **never),
        }
        return [action for action, request in tries.items() if not _is_allowed(request)]

    def load(self, target: TargetId) -> tuple[Record, str | None]:
        """A group's record and its ETag; an empty record and None where there is none yet."""
        try:
            with translated("records"):
                blob = self._client.download_blob(blob_name(target))
                text = blob.readall()
        except RemoteError as error:
            if error.code not in _NOT_THERE:
                raise
            return Record(target=target), None
        return read_record(text, target), blob.properties.etag

    def save(self, record: Record, etag: str | None) -> str:
        """Write a record if it is still the one that was loaded with `etag`; the new ETag. Raises Conflict."""
        # Compare and swap: a record that was never there must still not be there, any other must be unchanged.
        condition: dict[str, Any] = {"overwrite": etag is not None}
        if etag:
            condition |= {
                "etag": etag,
                "match_condition": MatchConditions.IfNotModified,
            }
        text = record.model_dump_json(exclude_none=True).encode()

        def upload() -> str:
            blob = self._client.get_blob_client(blob_name(record.target))
            return str(blob.upload_blob(text, **condition)["etag"])

        try:
            return self._created(upload)
        except RemoteError as error:
            if error.code in _CHANGED:
                raise Conflict(str(record.target)) from error
            raise

    def claim(self, name: str, now: datetime, interval: timedelta) -> bool:
        """May this process do what only one may do in each `interval`? The first that asks may."""
        blob = self._client.get_blob_client(f"{name}.json")
        # Several workers may find at once that it is due. Only one of their writes meets the condition.
        condition: dict[str, Any] = {"overwrite": False}
        try:
            with translated("records"):
                last = blob.download_blob()
                condition = {
                    "overwrite": True,
                    "etag": last.properties.etag,
                    "match_condition": MatchConditions.IfNotModified,
                }
                if is_recent(last.readall(), now, interval):
                    return False
        except RemoteError as error:
            if error.code not in _NOT_THERE:
                raise
        try:
            self._created(
                lambda: blob.upload_blob(now.isoformat().encode(), **condition)
            )
        except RemoteError as error:
            if error.code in _CHANGED:
                return False
            raise
        return True

    def take_turn(self, name: str, worker: str, seconds: int) -> bool:
        """Is it this worker's turn for so many seconds (15 to 60)? It stays so as long as the worker keeps asking.

        `worker` is a UUID. The storage's own clock decides.
        """
        # A lease that is acquired again under its own id is prolonged.
        # https://learn.microsoft.com/rest/api/storageservices/lease-blob
        blob = self._client.get_blob_client(f"{name}.json")
        try:
            return _is_leased(blob, worker, seconds)
        except RemoteError as error:
            if error.code not in _NOT_THERE:
                raise
        # Nobody has had a turn yet, so there is nothing to lease. Another worker may create the blob first.
        try:
            self._created(lambda: blob.upload_blob(b"", overwrite=False))
        except RemoteError as error:
            if error.code not in _CHANGED:
                raise
        return _is_leased(blob, worker, seconds)

    def end_turn(self, name: str, worker: str) -> None:
        """Let another worker have its turn at once."""
        with translated("records"):
            BlobLeaseClient(
                self._client.get_blob_client(f"{name}.json"), worker
            ).release()

    def note_time(self, name: str, now: datetime) -> None:
        """Remember when something was done last."""
        blob = self._client.get_blob_client(f"{name}.json")
        # Without a condition: of two workers that have done it, either time will do.
        self._created(
            lambda: blob.upload_blob(now.isoformat().encode(), overwrite=True)
        )

    def noted_time(self, name: str) -> datetime | None:
        """When it was done last; None if nobody knows."""
        try:
            with translated("records"):
                text = self._client.download_blob(f"{name}.json").readall()
        except RemoteError as error:
            if error.code not in _NOT_THERE:
                raise
            return None
        try:
            noted = datetime.fromisoformat(text.decode())
        except ValueError:
            return None
        # A time without its offset can't be compared with ours, so somebody else must have written it.
        return noted if noted.tzinfo else None

    def trace(self) -> Trace:
        """How pushes ended that no record tells of. What can't be read counts as nothing: it is no more than a log."""
        return self._load_trace()[0]

    def leave_trace(self, end: End) -> None:
        """Remember the end of such a push."""
        for _ in range(_TRIES):
            trace, condition = self._load_trace()
            text = trace.with_end(end).model_dump_json(exclude_none=True).encode()
            blob = self._client.get_blob_client(_TRACE)
            try:
                self._created(partial(blob.upload_blob, text, **condition))
            except RemoteError as error:
                if error.code not in _CHANGED:
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
                blob = self._client.download_blob(_TRACE)
                text = blob.readall()
        except RemoteError as error:
            if error.code not in _NOT_THERE:
                raise
            return Trace(), {"overwrite": False}
        match = {
            "overwrite": True,
            "etag": blob.properties.etag,
            "match_condition": MatchConditions.IfNotModified,
        }
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
        """The names of the blobs among the records that are no record's."""
        return [blob.name for blob in self._found() if target_of(blob.name) is None]

    def _found(self) -> Iterator[BlobProperties]:
        try:
            with translated("records"):
                yield from self._client.list_blobs(name_starts_with=PREFIX)
        except RemoteError as error:
            if error.code not in _NOT_THERE:
                raise

    def _created(self, call: Callable[[], T]) -> T:
        """Make a call that writes; create the blob container first if it turns out to be missing."""
        # Asking before each write whether it is there would double the requests, and it is missing only once.
        try:
            with translated("records"):
                return call()
        except RemoteError as error:
            if error.code != "ContainerNotFound":
                raise
        self.ensure()
        with translated("records"):
            return call()


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


def _is_allowed(request: Callable[[], object]) -> bool:
    # Storage looks at the role first. So an answer about a blob or a condition shows that the role allows the request.
    try:
        with translated("records"):
            request()
    except RemoteError as error:
        if error.code in _NOT_THERE | _CHANGED or storage_actions.lacks_role(error):
            return not storage_actions.lacks_role(error)
        raise
    return True


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
