"""The workers' records as they lie in storage: read as plain JSON, so that no code of the worker judges itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import ContainerClient

_PREFIX = "groups/"
# Whoever looks while storage is away is to be told so at once.
_AT_ONCE: dict[str, Any] = {"retry_total": 0, "connection_timeout": 2, "read_timeout": 5}

Json = dict[str, Any]


class UnreadableRecord(Exception):
    """A blob under `groups/` that holds no JSON object."""


class Records:
    """One blob a group. Every method raises AzureError where storage is away."""

    def __init__(self, connection_string: str, container: str) -> None:
        self._client = ContainerClient.from_connection_string(connection_string, container, **_AT_ONCE)

    def ensure(self) -> None:
        """Create the container unless it exists."""
        try:
            self._client.create_container()
        except ResourceExistsError:
            return

    def all(self) -> Iterator[str]:
        """The names of all records, as `load` takes them."""
        yield from self._client.list_blob_names(name_starts_with=_PREFIX)

    def text(self, name: str) -> tuple[str, str | None]:
        """What a record holds, whatever it is, and its ETag; empty and None if there is none."""
        try:
            blob = self._client.download_blob(name)
        except ResourceNotFoundError:
            return "", None
        return blob.readall().decode(), blob.properties.etag

    def replace(self, name: str, text: str, etag: str | None) -> None:
        """Write anything in a record's place; raises AzureError if it has not this ETag any more."""
        if etag is None:
            self._client.upload_blob(name, text)
            return
        is_same = MatchConditions.IfNotModified
        self._client.upload_blob(name, text, overwrite=True, etag=etag, match_condition=is_same)

    def delete(self, name: str) -> None:
        """Delete a record, as the worker says of one that can't be read; raises AzureError."""
        with suppress(ResourceNotFoundError):
            self._client.delete_blob(name)

    def load(self, name: str) -> Json:
        """One record; raises UnreadableRecord."""
        text = self._client.download_blob(name).readall()
        try:
            record = json.loads(text)
        except ValueError as error:
            raise UnreadableRecord(f"{name}: {error}") from error
        if not isinstance(record, dict):
            raise UnreadableRecord(f"{name}: no JSON object")
        return record


def group_of(name: str) -> str:
    """The container group that a record is of."""
    return name.rpartition("/")[2].removesuffix(".json")


def token_of(record: Json) -> str | None:
    """The token of the timer that the record names, None if it names none."""
    token = (record.get("timer") or {}).get("token")
    return token if isinstance(token, str) else None


def unrest(record: Json) -> Iterator[str]:
    """Why a record is not at rest, a phrase each."""
    if timer := record.get("timer"):
        yield f"has a timer, due at {timer.get('due')}"
    for what in ("inbox", "flights", "undone", "outbox"):
        if record.get(what):
            yield f"has {len(record[what])} in its {what}"
    for name, container in record.get("containers", {}).items():
        if waiting := container.get("candidates"):
            yield f"still has {len(waiting)} candidates for {name}"
        if container.get("pin"):
            yield f"still has {name} pinned"
