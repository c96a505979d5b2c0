"""What an owner does to a group beside the worker: holds it by a tag, stops it, redeploys a container of it."""

from __future__ import annotations

from tests.processes import PATIENCE, wait_until
from tests.site import RESOURCE_GROUP, SUBSCRIPTION, Site, definition, outcomes


def follow_web_alone(site: Site, *, more: str = "") -> None:
    """Let the site's target be the container `web` of `shop`; `more` comes after it in the targets file."""
    target = (
        f"  - container_group: shop\n    resource_group: {RESOURCE_GROUP}\n    containers: {{web: {{policy: any}}}}\n"
    )
    file = site.processes.folder / "targets.yaml"
    file.write_text(f"targets:\n{target}{more}")
    site.environment["ACI_HOOKS_TARGETS"] = str(file)


def test_a_drain_ends_beside_groups_that_wait_for_their_owners_and_each_goes_on_by_its_own_timer(site: Site) -> None:
    follow_web_alone(site, more=f"discover: {{resource_groups: [{RESOURCE_GROUP}]}}\n")
    for tag in ("v2", "v3"):
        site.push(f"acme/shop:{tag}")
        site.drain()
    policy = {"aci-hooks.policy": "any"}
    held = definition({"web": "acme/blog:v1"}) | {"tags": policy | {"aci-hooks.hold": "audit"}}
    site.arm.put_group(SUBSCRIPTION, RESOURCE_GROUP, "audited", held)
    site.act("stop")
    assert "goes back to acme/shop:v2" in site.command("rollback", "shop")
    for tag in ("v2", "v3"):
        # The second push finds the timers there, and starts no others.
        site.push(f"acme/blog:{tag}")
        assert outcomes(site.drain()) == {}
        assert site.updates.count() == 2
    assert (site.images(), site.images("audited")) == (
        {"web": "acme/shop:v3", "proxy": "nginx:1.27"},
        {"web": "acme/blog:v1"},
    )
    worker = site.worker()
    worker.wait_for_log("worker started")
    site.act("start")
    site.tag(policy, "audited")
    # Nobody tells the worker: it looks once a minute.
    wait_until(lambda: site.is_at_rest() and site.is_at_rest("audited"), PATIENCE, "both groups going on")
    assert worker.terminate() == 0
    assert (site.images()["web"], site.images("audited")["web"]) == ("acme/shop:v2", "acme/blog:v3")
    hold = site.record().hold
    assert hold
    assert hold.reason == "rolled back"


def test_a_rollback_leaves_alone_what_the_owner_deployed_in_a_container_without_a_rule(site: Site) -> None:
    follow_web_alone(site)
    site.push("acme/shop:v2")
    site.drain()
    site.group("shop", {"web": "acme/shop:v2", "proxy": "nginx:1.28"})
    site.push("acme/shop:v3")
    site.drain()
    assert "shop goes back to acme/shop:v2, and is held" in site.command("rollback", "shop")
    site.drain()
    assert site.images() == {"web": "acme/shop:v2", "proxy": "nginx:1.28"}
    assert site.is_at_rest()
