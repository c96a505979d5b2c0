"""A real registry from end to end: its notifications, the ingress, the worker, and images pushed with skopeo."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.azurite import Azurite
from tests.processes import INGRESS, PATIENCE, free_ports, wait_until
from tests.registry_server import Endpoint, RegistryServer, image_of, sha256, skopeo_push
from tests.site import SUBSCRIPTION, Site, definition, outcomes, running_site

SECRET = "a-notification-secret"


class Delivered:
    """A site whose ingress gets the notifications of a real registry."""

    def __init__(self, site: Site, registry: RegistryServer) -> None:
        self.site, self.registry = site, registry

    def push(self, tag: str, content: bytes) -> str:
        """Push with skopeo, and roll out what that brings; the image's digest."""
        digest = skopeo_push(self.registry, "acme/shop", tag, content)
        wait_until(lambda: self.registry.pending_notifications() == 0, PATIENCE, "the registry's notification queue")
        self.ended = outcomes(self.site.drain())
        return digest


@pytest.fixture
def delivered(azurite: Azurite) -> Iterator[Delivered]:
    (port,) = free_ports(1)
    notify: Endpoint = {
        "url": f"http://127.0.0.1:{port}/webhooks/distribution",
        "headers": {"Authorization": f"Bearer {SECRET}"},
    }
    with running_site(azurite) as site, RegistryServer(notify=[notify]) as registry:
        environment = site.environment | {"PORT": str(port), "ACI_HOOKS_SECRET_DISTRIBUTION": SECRET}
        site.processes.start("ingress", INGRESS, environment=environment, url=f"http://127.0.0.1:{port}/readyz")
        yield Delivered(site, registry)


@pytest.fixture
def latest(delivered: Delivered) -> Delivered:
    """The group runs `latest` of a repository in that registry."""
    first = delivered.registry.push("acme/shop", "latest", b"one")
    running = delivered.registry.image("acme/shop", "latest")
    delivered.site.arm.image(running, digest=first)
    delivered.site.arm.put_group(SUBSCRIPTION, "web", "shop", definition({"web": running}))
    wait_until(lambda: delivered.registry.pending_notifications() == 0, PATIENCE, "the first notification")
    delivered.site.drain()
    return delivered


def test_a_pushed_tag_arrives_on_the_group(latest: Delivered) -> None:
    latest.push("v2", b"two")
    assert latest.site.images()["web"] == latest.registry.image("acme/shop", "v2")
    assert set(latest.ended.values()) == {"updated"}


def test_latest_pushed_twice_runs_the_second_digest_and_a_third_identical_push_does_nothing(latest: Delivered) -> None:
    name = latest.registry.image("acme/shop", "latest").removesuffix(":latest")
    for content in (b"two", b"three"):
        digest = latest.push("latest", content)
        assert latest.site.images()["web"] == f"{name}@{digest}"
    puts, calls = latest.site.effective_puts(), latest.site.arm.stats()["restarts"]
    latest.push("latest", b"three")
    assert set(latest.ended.values()) <= {"unchanged"}
    assert (latest.site.effective_puts(), latest.site.arm.stats()["restarts"]) == (puts, calls) == (2, 0)


def test_a_push_of_an_image_that_does_not_exist_is_dead_lettered_and_not_rolled_out(latest: Delivered) -> None:
    latest.site.push(latest.registry.image("acme/shop", "forged"))
    latest.site.drain()
    assert [letter["code"] for letter in latest.site.dead_letters()] == ["ManifestUnknown"]
    assert latest.site.effective_puts() == 0


def test_a_webhook_that_never_came_is_found_by_a_sweep(azurite: Azurite) -> None:
    with running_site(azurite) as site, RegistryServer() as registry:
        running = registry.image("acme/shop", "latest")
        site.arm.image(running, digest=registry.push("acme/shop", "latest", b"one"))
        site.arm.put_group(SUBSCRIPTION, "web", "shop", definition({"web": running}))
        assert site.json_of("sweep")[0]["missed"] == []
        digest = registry.push("acme/shop", "latest", b"two")
        (missed,) = site.json_of("sweep")[0]["missed"]
        assert (missed["sender"], missed["digest"]) == ("sweep", digest)
        site.drain()
        assert site.images()["web"] == f"{running.removesuffix(':latest')}@{digest}"
        assert site.json_of("sweep")[0]["missed"] == []


def test_a_container_of_latest_is_started_with_the_best_tag_of_its_registry(azurite: Azurite) -> None:
    with running_site(azurite) as site, RegistryServer() as registry:
        running = registry.image("acme/shop", "latest")
        site.arm.image(running, digest=registry.push("acme/shop", "latest", b"one"))
        for tag in ("1", "1.9", "1.9.9", "1.10.0", "1.11.0-rc.1", "1.11.0-alpine", "20260101"):
            site.arm.image(registry.image("acme/shop", tag), digest=registry.push("acme/shop", tag, tag.encode()))
        site.arm.put_group(SUBSCRIPTION, "web", "shop", definition({"web": running}))
        file = site.processes.folder / "targets.yaml"
        rule = "{web: {policy: {order: semver, start: true}}}"
        file.write_text(f"targets: [{{container_group: shop, resource_group: web, containers: {rule}}}]")
        site.environment["ACI_HOOKS_TARGETS"] = str(file)
        assert [item["tag"] for item in site.json_of("sweep")[0]["missed"]] == ["1.10.0"]
        site.drain()
        assert site.images()["web"] == registry.image("acme/shop", "1.10.0")
        assert site.json_of("sweep")[0]["missed"] == []


def test_a_cache_that_is_pushed_beside_an_image_is_ignored(delivered: Delivered) -> None:
    site, registry = delivered.site, delivered.registry
    running = registry.image("acme/shop", "v1")
    site.arm.image(running, digest=registry.push("acme/shop", "v1", b"one"))
    site.arm.put_group(SUBSCRIPTION, "web", "shop", definition({"web": running}))
    wait_until(lambda: registry.pending_notifications() == 0, PATIENCE, "the first notification")
    site.drain()
    registry.push("acme/shop", "v2", b"two")
    time.sleep(0.01)  # what is pushed later is newer
    registry.push_cache("acme/shop", "buildcache", b"layers")
    wait_until(lambda: registry.pending_notifications() == 0, PATIENCE, "the registry's notifications")
    assert sorted(outcomes(site.drain()).values()) == ["ignored", "updated"]
    assert (site.images()["web"], site.effective_puts()) == (registry.image("acme/shop", "v2"), 1)
    assert site.dead_letters() == []
    (ignored,) = [outcome for outcome in site.record().outcomes if outcome.result == "ignored"]
    assert "its config is application/vnd.buildkit.cacheconfig.v0" in ignored.detail


def test_a_cache_that_arrives_while_its_image_is_being_watched_changes_nothing(delivered: Delivered) -> None:
    # As in a CI run: BuildKit's `cache-to` pushes the cache some seconds after the image.
    site, registry = delivered.site, delivered.registry
    running, pushed = registry.image("acme/shop", "v1"), registry.image("acme/shop", "v2")
    site.arm.image(running, digest=registry.push("acme/shop", "v1", b"one"))
    site.arm.put_group(SUBSCRIPTION, "web", "shop", definition({"web": running}))
    wait_until(lambda: registry.pending_notifications() == 0, PATIENCE, "the first notification")
    site.drain()
    site.worker(ACI_HOOKS_SOAK="3")
    registry.push("acme/shop", "v2", b"two")
    wait_until(lambda: site.images()["web"] == pushed, PATIENCE, "the PUT of v2")
    registry.push_cache("acme/shop", "buildcache", b"layers")
    wait_until(
        lambda: {outcome.result for outcome in site.record().outcomes} >= {"updated", "ignored"}, 40, "both ends"
    )
    assert (site.images()["web"], site.effective_puts()) == (pushed, 1)
    assert (site.arm.stats()["restarts"], site.dead_letters()) == (0, [])


@pytest.mark.parametrize("proof", ["own", "token"])
def test_a_digest_that_the_tag_does_not_point_at_is_not_rolled_out(azurite: Azurite, proof: str) -> None:
    # Regression: `shop:v3@<digest of v1>` went down to v1 under every policy that admits v3.
    with running_site(azurite) as site, RegistryServer() as registry:
        old, new = registry.push("acme/shop", "v1", b"one"), registry.push("acme/shop", "v3", b"three")
        running = registry.image("acme/shop", "v2")
        site.arm.image(running, digest=registry.push("acme/shop", "v2", b"two"))
        site.arm.image(registry.image("acme/shop", "v3"), digest=new)
        site.arm.put_group(SUBSCRIPTION, "web", "shop", definition({"web": running}))
        site.push(f"{registry.image('acme/shop', 'v3')}@{old}", proof=proof)
        site.push(f"{registry.image('acme/shop', 'v9')}@{old}", proof=proof)
        site.drain()
        assert site.images()["web"] == registry.image("acme/shop", "v3")
        assert [letter["code"] for letter in site.dead_letters()] == ["ManifestUnknown"]
        # A tag that moved is known by what the registry says, not by what came with it.
        moved = registry.push("acme/shop", "v3", b"three again")
        site.push(f"{registry.image('acme/shop', 'v3')}@{old}", proof=proof)
        site.drain()
        assert site.images()["web"] == f"{running.removesuffix(':v2')}@{moved}"


def test_a_tag_that_no_webhook_told_of_is_found_under_any_by_the_images_themselves(azurite: Azurite) -> None:
    with running_site(azurite) as site, RegistryServer() as registry:
        running, newer = registry.image("acme/shop", "v2"), registry.image("acme/shop", "v3")
        made = datetime(2026, 1, 1, tzinfo=UTC)
        for day, tag in enumerate(("v1", "v2", "v3")):
            digest = registry.push("acme/shop", tag, tag.encode(), created=made + timedelta(days=day))
            site.arm.image(registry.image("acme/shop", tag), digest=digest)
        registry.push_cache("acme/shop", "v4-cache", b"layers")
        site.arm.put_group(SUBSCRIPTION, "web", "shop", definition({"web": running}))
        (missed,) = site.json_of("sweep")[0]["missed"]
        assert (missed["tag"], missed["digest"]) == ("v3", digest)
        site.drain()
        assert site.images()["web"] == newer
        assert site.json_of("sweep")[0]["missed"] == []


def test_a_multi_arch_image_runs_as_its_platforms_manifest(azurite: Azurite) -> None:
    # Regression: the first sweep after a rollout restarted every group that runs a multi-arch image.
    with running_site(azurite) as site, RegistryServer() as registry:
        running, pushed = registry.image("acme/shop", "v1"), registry.image("acme/shop", "v2")
        site.arm.image(running, digest=registry.push("acme/shop", "v1", b"one"))
        site.arm.put_group(SUBSCRIPTION, "web", "shop", definition({"web": running}))
        registry.push_index("acme/shop", "v2", {"amd64": b"two", "arm64": b"two on arm"})
        site.arm.image(pushed, digest=sha256(image_of(b"two", "amd64")[2]))
        site.push(pushed)
        site.drain()
        assert (site.images()["web"], site.effective_puts()) == (pushed, 1)
        assert site.json_of("sweep")[0]["missed"] == []
        again = site.push(pushed)
        assert outcomes(site.drain())[again.id] == "unchanged"
        assert (site.effective_puts(), site.arm.stats()["restarts"]) == (1, 0)
