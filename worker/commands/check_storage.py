"""What `aci-hooks check` finds in Azure Storage: the two queues and the records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from shared.errors import RemoteError
from shared.queue import Queue, open_queues
from shared.settings import WorkerSettings
from shared.storage_actions import explained
from worker.adapters.record_blobs.client import Records, open_records
from worker.commands.finding import Finding, State, finding_of
from worker.commands.output import count_of
from worker.commands.side_by_side import side_by_side


def check_storage(settings: WorkerSettings) -> Iterator[Finding]:
    """The queues, the records, and what the worker's role may do with them."""
    updates, poison = open_queues(settings)
    records = open_records(settings)
    number_of_records = partial(_number_of, records)
    looks: list[Callable[[], list[Finding]]] = [
        lambda: [
            finding_of(
                "updates queue",
                lambda: _store(settings, "queue", updates, updates.count, "message"),
            )
        ],
        lambda: [
            finding_of(
                "poison queue",
                lambda: _store(settings, "queue", poison, poison.count, "dead letter"),
            )
        ],
        lambda: [
            finding_of(
                "records",
                lambda: _store(
                    settings, "container", records, number_of_records, "record"
                ),
            )
        ],
        lambda: list(_check_foreign(records)),
    ]
    # Each of them asks several things one after the other.
    for findings in side_by_side(lambda look: look(), looks, None):
        yield from findings


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


def _store(
    settings: WorkerSettings,
    kind: str,
    store: Queue | Records,
    count: Callable[[], int],
    noun: str,
) -> tuple[str, State]:
    if missing := store.missing_actions():
        return (
            f"the role lacks, on {store.name}: {'; '.join(map(explained, missing))}",
            "FAILED",
        )
    if store.exists():
        return f"{count_of(count(), noun)} in {store.name}", "ok"
    # An account key permits everything. The roles that the README recommends don't permit creating anything.
    if settings.connection_string:
        return (
            f"{store.name} does not exist yet; the worker creates it when needed",
            "missing",
        )
    make = f"az storage {kind} create --account-name {settings.storage_account} -n {store.name} --auth-mode login"
    return (
        f"{store.name} does not exist; the worker creates it if its role permits, otherwise run: {make}",
        "FAILED",
    )
