"""The blob container of the records: made where it is missing, and written to on conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.storage.blob import BlobClient, ContainerClient

from shared import storage_actions
from shared.azure_errors import translated
from shared.errors import RemoteError

T = TypeVar("T")

NOT_THERE = frozenset({"BlobNotFound", "ContainerNotFound", "ResourceNotFound"})
"""The codes that say that there is nothing to read."""
CHANGED = frozenset({"ConditionNotMet", "BlobAlreadyExists"})
"""The codes that say that somebody else wrote first."""

NEW: dict[str, Any] = {"overwrite": False}
"""The condition of a write: there is no such blob yet."""


def unchanged(etag: str | None) -> dict[str, Any]:
    """The condition of a write: the blob is still the one that was read with this ETag."""
    return {
        "overwrite": True,
        "etag": etag,
        "match_condition": MatchConditions.IfNotModified,
    }


class BlobContainer:
    """A container that is created when something is written to it first. Every method raises RemoteError."""

    def __init__(self, client: ContainerClient) -> None:
        self.name = client.container_name
        self.client = client

    def blob(self, name: str) -> BlobClient:
        """A blob of this name, whether it is there or not."""
        return self.client.get_blob_client(name)

    def exists(self) -> bool:
        """Is the container there?"""
        with translated("records"):
            return self.client.exists()

    def ensure(self) -> None:
        """Create the container unless it exists."""
        try:
            with translated("records"):
                self.client.create_container()
        except RemoteError as error:
            # Several workers may find at once that it is missing.
            if error.code != "ContainerAlreadyExists":
                raise

    def written(self, call: Callable[[], T]) -> T:
        """Make a call that writes; create the container first if it turns out to be missing."""
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

    def missing_actions(self) -> list[str]:
        """What the worker's role must allow and this one does not, each tried by a request that changes nothing.

        Raises RemoteError if the container can't be asked.
        """
        blob = self.blob("check")
        # No blob ever has this ETag, so the write is refused in any case: by the role, or else by the condition.
        never = unchanged('"0x0"')
        tries: dict[str, Callable[[], object]] = {
            storage_actions.READ_BLOB: blob.get_blob_properties,
            storage_actions.WRITE_BLOB: lambda: blob.upload_blob(b"", **never),
        }
        return [action for action, request in tries.items() if not _is_allowed(request)]


def _is_allowed(request: Callable[[], object]) -> bool:
    # Storage looks at the role first. So an answer about a blob or a condition shows that the role allows the request.
    try:
        with translated("records"):
            request()
    except RemoteError as error:
        if storage_actions.lacks_role(error):
            return False
        if error.code in NOT_THERE | CHANGED:
            return True
        raise
    return True
