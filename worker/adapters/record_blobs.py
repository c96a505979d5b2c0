"""The records' blobs: read, and written by compare-and-swap on the ETag. The one importer of azure.storage.blob."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.storage.blob import ContainerClient

from shared.azure_errors import translated
from shared.credential import azure_credential
from shared.errors import RemoteError
from shared.message import TargetId
from shared.settings import WorkerSettings
from worker.record import Record

Result = TypeVar("Result")

_PREFIX = "groups/"
_NOT_THERE = frozenset({"BlobNotFound", "ContainerNotFound", "ResourceNotFound"})
_CHANGED = frozenset({"ConditionNotMet", "BlobAlreadyExists"})


class Conflict(Exception):
    """Somebody else wrote the record first: read it again and decide anew."""


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

    def load(self, target: TargetId) -> tuple[Record, str | None]:
        """A group's record and its ETag; an empty record and None where there is none yet."""
        try:
            with translated("records"):
                blob = self._client.download_blob(_name(target))
                text = blob.readall()
        except RemoteError as error:
            if error.code not in _NOT_THERE:
                raise
            return Record(target=target), None
        return Record.model_validate_json(text), blob.properties.etag

    def save(self, record: Record, etag: str | None) -> str:
        """Write a record if it is still the one that was loaded with `etag`; the new ETag. Raises Conflict."""
        condition: dict[str, Any] = {"overwrite": etag is not None}
        if etag:
            condition |= {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        text = record.model_dump_json(exclude_none=True).encode()

        def upload() -> str:
            blob = self._client.get_blob_client(_name(record.target))
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
        condition: dict[str, Any] = {"overwrite": False}
        try:
            with translated("records"):
                last = blob.download_blob()
                condition = {
                    "overwrite": True,
                    "etag": last.properties.etag,
                    "match_condition": MatchConditions.IfNotModified,
                }
                if datetime.fromisoformat(last.readall().decode()) > now - interval:
                    return False
        except RemoteError as error:
            if error.code not in _NOT_THERE:
                raise
        try:
            self._created(lambda: blob.upload_blob(now.isoformat().encode(), **condition))
        except RemoteError as error:
            if error.code in _CHANGED:
                return False
            raise
        return True

    def all(self) -> Iterator[TargetId]:
        """Every group that has a record."""
        try:
            with translated("records"):
                for name in self._client.list_blob_names(name_starts_with=_PREFIX):
                    subscription, group, container_group = name.removeprefix(_PREFIX).removesuffix(".json").split("/")
                    yield TargetId(subscription=subscription, resource_group=group, container_group=container_group)
        except RemoteError as error:
            if error.code not in _NOT_THERE:
                raise

    def _created(self, call: Callable[[], Result]) -> Result:
        try:
            with translated("records"):
                return call()
        except RemoteError as error:
            if error.code != "ContainerNotFound":
                raise
        self.ensure()
        with translated("records"):
            return call()


def open_records(settings: WorkerSettings, *, timeouts: tuple[float, float] = (5, 20)) -> Records:
    """The records of these settings. The SDK's own retries are off: the step has its own."""
    options: dict[str, Any] = {"retry_total": 0, "connection_timeout": timeouts[0], "read_timeout": timeouts[1]}
    if settings.connection_string:
        connection = settings.connection_string.get_secret_value()
        return Records(ContainerClient.from_connection_string(connection, settings.records, **options))
    url = f"https://{settings.storage_account}.blob.{settings.cloud.storage_suffix}"
    return Records(ContainerClient(url, settings.records, credential=azure_credential(settings), **options))


def _name(target: TargetId) -> str:
    return f"{_PREFIX}{target.key}.json"
