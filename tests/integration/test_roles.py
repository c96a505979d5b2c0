"""Roles: what a worker does, and what `check` says, where a role lets it do less than it needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared import storage_actions
from tests.azurite import Azurite
from tests.processes import PATIENCE, wait_until
from tests.site import Site, events, outcomes, running_site
from tests.storage_roles import LEAST, PROCESSOR_AND_SENDER, RoleProxy

ADDRESS = "AZURE_STORAGE_CONNECTION_STRING"


@pytest.fixture
def role(azurite: Azurite) -> Iterator[RoleProxy]:
    """A role on the queues of the run's Azurite, which allows the least that is needed."""
    with RoleProxy(azurite.connection_string, LEAST) as proxy:
        yield proxy


@pytest.fixture
def ruled(azurite: Azurite, role: RoleProxy) -> Iterator[Site]:
    """A site whose processes have that role; the site itself has the key."""
    with running_site(azurite) as site:
        site.environment |= {ADDRESS: role.connection_string}
        yield site


def test_the_least_role_of_the_documentation_is_enough(ruled: Site, role: RoleProxy) -> None:
    rows = {row["check"]: row for row in ruled.json_of("check")}
    assert rows["updates queue"]["ok"]
    assert rows["poison queue"]["ok"]
    push = ruled.push("acme/shop:v2")
    bad = ruled.push("acme/shop:bad")
    ruled.arm.image("acme/shop:bad", "crash-loop")
    log = ruled.drain()
    assert outcomes(log)[push.id] in {"updated", "superseded"}
    assert [letter["code"] for letter in ruled.dead_letters()] == ["CrashLoop"]
    assert bad.id in outcomes(log)
    # A worker tries to create the queue, and goes on where it must not.
    assert [refused for refused in role.refused if "/messages" in refused or not refused.startswith("PUT")] == []


@pytest.mark.parametrize(
    ("action", "named"),
    [
        ("queues/read", storage_actions.READ_QUEUE),
        ("messages/read", storage_actions.READ),
        ("messages/process/action", storage_actions.PROCESS),
        ("messages/write", storage_actions.WRITE),
    ],
)
def test_check_names_each_missing_action_and_changes_nothing(
    ruled: Site, role: RoleProxy, action: str, named: str
) -> None:
    ruled.push("acme/shop:v2")
    role.actions = LEAST - {action}
    rows = {row["check"]: row for row in ruled.json_of("check", expect=1)}
    for queue in ("updates queue", "poison queue"):
        assert not rows[queue]["ok"]
        assert rows[queue]["detail"].count("Microsoft.Storage/") == 1
        assert named in rows[queue]["detail"]
    (left,) = ruled.updates.receive(32)
    assert left.dequeue_count == 1
    assert ruled.poison.count() == 0


def test_check_names_what_the_built_in_roles_of_before_lack(ruled: Site, role: RoleProxy) -> None:
    role.actions = PROCESSOR_AND_SENDER
    rows = {row["check"]: row["detail"] for row in ruled.json_of("check", expect=1)}
    assert storage_actions.WRITE in rows["updates queue"]
    assert storage_actions.READ_QUEUE in rows["updates queue"]
    assert storage_actions.PROCESS not in rows["updates queue"]


def test_a_rollout_goes_on_where_nothing_can_be_rescheduled_and_the_log_says_why(ruled: Site, role: RoleProxy) -> None:
    # Regression: a healthy rollout ended as WorkerCrash, and nobody was told that a right was missing.
    role.actions = LEAST - {"messages/write"}
    ruled.push("acme/shop:v2")
    worker = ruled.worker(ACI_HOOKS_MAX_ATTEMPTS="2")
    wait_until(lambda: ruled.is_at_rest() and bool(ruled.record().outcomes), PATIENCE, "the end of the push")
    assert ruled.record().outcomes[0].result == "updated"
    assert ruled.poison.count() == 0
    worker.terminate()
    warnings = [event for event in events(worker) if "again" in event["event"] and "error" in event]
    assert any(f"the role lacks {storage_actions.WRITE}" in event["error"] for event in warnings)


def test_asking_for_the_rights_on_the_records_leaves_nothing_behind(ruled: Site) -> None:
    assert ruled.records.missing_actions() == []
    assert list(ruled.records.all()) == []
    assert ruled.records.foreign() == []
