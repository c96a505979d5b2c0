"""The names of the records' blobs, and what is read of their texts."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import ValidationError

from shared.errors import RemoteError
from shared.message import TargetId
from worker.adapters.record_blobs.flaws import flaw_of
from worker.ports import UNREADABLE
from worker.record.record import Record

PREFIX = "groups/"


def is_recent(text: bytes, now: datetime, interval: timedelta) -> bool:
    """Was it claimed within the interval? What no clock that is right can have written counts as never."""
    try:
        claimed_at = datetime.fromisoformat(text.decode())
        return now - interval < claimed_at <= now + interval
    except (ValueError, TypeError):
        return False


def read_record(text: bytes | str, target: TargetId) -> Record:
    """The record in a blob's text; raises RemoteError with the code UnreadableRecord, which says how to repair it."""
    try:
        record = Record.model_validate_json(text)
    except ValidationError as error:
        # The first mistake is enough to find the blob, and never its input, which may hold what somebody else wrote.
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the record"
        raise unreadable(target, f"{where}: {first['msg']}") from error
    # A copy under another name would have this group's images changed by another group's record.
    if record.target != target:
        raise unreadable(target, f"it is the record of {record.target.key}")
    if flaw := flaw_of(record):
        raise unreadable(target, flaw)
    return record


def unreadable(target: TargetId, why: str) -> RemoteError:
    """The error of a group's record that can't be read; it says why, and how to repair it."""
    name = blob_name(target)
    remedy = "another version of aci-hooks may have written it; restore it, or delete the blob to start afresh"
    return RemoteError(
        "records",
        None,
        UNREADABLE,
        f"the record {name} can't be read ({why}): {remedy}",
    )


def target_of(name: str) -> TargetId | None:
    """The group whose record a blob of this name is, None if it is none."""
    parts = name.removeprefix(PREFIX).removesuffix(".json").split("/")
    try:
        subscription, resource_group, container_group = parts
        target = TargetId(
            subscription=subscription,
            resource_group=resource_group,
            container_group=container_group,
        )
    except ValueError:
        return None
    # Names that differ only in their case are one group to Azure. A blob counts only under the name that we write.
    return target if blob_name(target) == name else None


def blob_name(target: TargetId) -> str:
    """The name of the blob with a group's record."""
    return f"{PREFIX}{target.key}.json"
