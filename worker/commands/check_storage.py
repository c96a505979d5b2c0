"""What `aci-hooks check` finds in Azure Storage: the two queues and the records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from shared.errors import RemoteError
from shared.queue import Queue, open_queues
from shared.settings import WorkerSettings
from shared.storage_actions import explained
from worker.adapters.record_blobs.client import Records, open_records
from worker.commands.finding import Finding, State, finding_of
from worker.commands.output import count_of
from worker.commands.side_by_side import side_by_side


@dataclass(frozen=True, slots=True)
class _Place:
    """A queue or a blob container that the worker needs. `kind` is its word in `az storage`, `noun` what it holds."""

    what: str
    kind: str
    store: Queue | Records
    count: Callable[[], int]
    noun: str


def check_storage(settings: WorkerSettings) -> Iterator[Finding]:
    """The queues, the records, and what the worker's role may do with them."""
    updates, poison = open_queues(settings)
    records = open_records(settings)
    places = (
        _Place("updates queue", "queue", updates, updates.count, "message"),
        _Place("poison queue", "queue", poison, poison.count, "dead letter"),
        _Place("records", "container", records, lambda: _number_of(records), "record"),
    )
    looks: list[Callable[[], list[Finding]]] = [
        partial(_check_place, settings, place) for place in places
    ]
    looks.append(lambda: list(_check_foreign(records)))
    # Each of them asks several things one after the other.
    for findings in side_by_side(lambda look: look(), looks, None):
        yield from findings


def _check_place(settings: WorkerSettings, place: _Place) -> list[Finding]:
    return [finding_of(place.what, lambda: _look_at(settings, place))]


def _number_of(records: Records) -> int:
    return sum(1 for _ in records.all())


def _check_foreign(records: Records) -> Iterator[Finding]:
    """Blobs among the records that are not records. They do no harm, but somebody probably made a mistake."""
    try:
        foreign = records.foreign()
    except RemoteError:
        return  # the finding before has reported it
    for name in foreign:
        yield Finding(
            "records",
            f"{name} is not the name of a record; delete the blob or move it elsewhere",
            "FAILED",
        )


def _look_at(settings: WorkerSettings, place: _Place) -> tuple[str, State]:
    store = place.store
    # Asked first: without the role the other questions are refused as well, and would not say which action is missing.
    if missing := store.missing_actions():
        actions = "; ".join(map(explained, missing))
        return f"the role lacks, on {store.name}: {actions}", "FAILED"
    if store.exists():
        return f"{count_of(place.count(), place.noun)} in {store.name}", "ok"
    # An account key permits everything. The roles that the README recommends don't permit creating anything.
    if settings.connection_string:
        return (
            f"{store.name} does not exist yet; the worker creates it when needed",
            "missing",
        )
    make = (
        f"az storage {place.kind} create --account-name {settings.storage_account} "
        f"-n {store.name} --auth-mode login"
    )
    return (
        f"{store.name} does not exist; the worker creates it if its role permits, otherwise run: {make}",
        "FAILED",
    )
