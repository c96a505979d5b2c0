"""Groups that come and go: a target that is seen for the first time is swept, one that is deleted is forgotten."""

from __future__ import annotations

from pathlib import Path

from tests.azurite import Azurite
from tests.processes import PATIENCE, wait_until
from tests.registry_server import RegistryServer
from tests.site import RESOURCE_GROUP, Site, events, running_site


def test_a_target_is_swept_once_when_it_is_first_seen_or_created(azurite: Azurite, tmp_path: Path) -> None:
    lines = ["targets:"]
    for name in ("shop", "later"):
        lines += [f"  - container_group: {name}", f"    resource_group: {RESOURCE_GROUP}"]
        lines += ["    containers: {web: {policy: any}}"]
    file = tmp_path / "targets.yaml"
    file.write_text("\n".join(lines))
    with running_site(azurite, ACI_HOOKS_TARGETS=str(file)) as site, RegistryServer() as registry:
        running = registry.image("acme/shop", "latest")
        site.arm.image(running, digest=registry.push("acme/shop", "latest", b"one"))
        pushed = f"{running.removesuffix(':latest')}@{registry.push('acme/shop', 'latest', b'two')}"
        site.group("shop", {"web": running})
        worker = site.worker()
        wait_until(
            lambda: site.images()["web"] == pushed and site.is_at_rest(), 40, "what was pushed before it was seen"
        )
        site.group("later", {"web": running})
        site.let_patrol()
        wait_until(lambda: site.images("later")["web"] == pushed, PATIENCE, "what was pushed before it was created")
        wait_until(lambda: site.is_at_rest("later"), PATIENCE, "an end")
        assert worker.terminate() == 0
        met = [(event["target"], event["missed"]) for event in events(worker) if event["event"] == "new target"]
        assert met == [("web/shop", 1), ("web/later", 1)]
        assert (site.record().swept, site.record("later").swept) == (True, True)


def test_a_deleted_group_is_noticed_and_one_of_its_name_starts_anew(site: Site) -> None:
    for tag in ("v2", "v3"):
        site.push(f"acme/shop:{tag}")
        site.drain()
    site.delete_group()
    site.let_patrol()
    worker = site.worker()
    wait_until(lambda: not site.record().containers and site.is_at_rest(), PATIENCE, "the group forgotten")
    # In the group before, v2 would be a drift, and v3 would be put back.
    site.group("shop", {"web": "acme/shop:v2", "proxy": "nginx:1.27"})
    push = site.push("nginx:1.28")
    wait_until(
        lambda: push.id in {outcome.id for outcome in site.record().outcomes} and site.is_at_rest(), 40, "an end"
    )
    assert worker.terminate() == 0
    assert (site.images(), site.effective_puts()) == ({"web": "acme/shop:v2", "proxy": "nginx:1.28"}, 1)
    assert [good.image for good in site.record().containers["web"].goods] == ["acme/shop:v2"]
    # What happened to the one before stays in the history.
    assert [outcome.result for outcome in site.record().outcomes] == ["updated"] * 3


def test_a_push_to_a_group_that_is_gone_fails_and_the_next_group_of_its_name_takes_it(site: Site) -> None:
    site.push("acme/shop:v2")
    site.drain()
    site.delete_group()
    site.push("acme/shop:v3")
    site.drain()
    (letter,) = site.dead_letters()
    assert letter["code"] == "ResourceNotFound"
    assert (site.is_at_rest(), site.record().containers) == (True, {})
    site.group("shop", {"web": "acme/shop:v1"})
    site.command("dead-letters", "redrive", "--all")
    site.drain()
    assert (site.images(), site.effective_puts()) == ({"web": "acme/shop:v3"}, 1)
