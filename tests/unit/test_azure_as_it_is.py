"""Whole rollouts on the simulator, by a clock that only the tests move: what Azure does, and what must come of it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.message import Look, UpdateMessage
from tests.unit.builders import RULES, SHOP, Json, digest, message, record, timer
from tests.unit.controller_builders import LEASE, RETRY, TARGET, Bench, chance, group_of
from worker.controller.looking import Looking
from worker.controller.settlement import Reschedule
from worker.controller.telling import Telling
from worker.core.receive import receive
from worker.policies.parse import parse_policy
from worker.record.lookups import Found
from worker.record.record import Record
from worker.targets.target import Target

OLD, NEW = "acme/shop:1", "acme/shop:2"
INDEX, PLATFORM = digest("index"), digest("platform")
LIVE = Look(target=SHOP, token="live", count=1)


class Rollout(Bench):
    """A group `shop` that runs acme/shop:1, and a push of acme/shop:2 that was received."""

    def __init__(self, *pushes: UpdateMessage, images: dict[str, str] | None = None, **rest: Any) -> None:
        images = images or {"web": OLD}
        target = rest.pop("target", TARGET)
        begun = record(inbox=pushes or (message("2"),), timer=timer(0), count=1)
        super().__init__(begun, target=target, definition=group_of(images, **rest))

    def go_on(self, seconds: float = 3600, found: Found | None = None) -> Record:
        """Look until the group rests, or for so long; the record then. `found` is what the registry tells of pushes."""
        ports = self.ports(**({"digest": lambda _push: found} if found else {}))
        looking = Looking(ports, RULES, RETRY, Telling(ports), lease=LEASE, chance=chance())
        look, until = LIVE, self.clock.seconds() + seconds
        while self.clock.seconds() < until:
            settlement = looking.look(look, lambda: True)
            if not isinstance(settlement, Reschedule):
                break
            assert isinstance(settlement.message, Look)
            look = settlement.message
            self.clock.advance(max(1.0, settlement.delay))
        return self.record

    def push_again(self, *pushes: UpdateMessage) -> None:
        """The pushes come in once more, and the group's timer is started."""
        self.rewrite(lambda now: receive(now, pushes)[0].but(timer=timer(0), count=1))

    @property
    def results(self) -> list[tuple[str, str]]:
        """How pushes ended, the newest last."""
        return [(outcome.id, outcome.result) for outcome in reversed(self.record.outcomes)]

    @property
    def codes(self) -> list[str]:
        """The codes of the dead letters."""
        return [letter.code for letter in self.letters]


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("unpullable", "ImagePullFailed"),
        ("over-limit", "ImagePullFailed"),
        ("unstartable", "ContainerStartFailed"),
        ("crash-loop", "CrashLoop"),
    ],
)
def test_a_bad_image_is_brought_back_from_within_a_minute(behaviour: str, code: str) -> None:
    scene = Rollout()
    scene.azure.image(NEW, behaviour)
    scene.go_on(60)
    assert scene.images == {"web": OLD}
    scene.go_on()
    assert scene.results == [("2", "rolled-back")]
    assert scene.codes == [code]


@pytest.mark.parametrize(
    ("behaviour", "policy", "code"),
    [
        ("exits-1", "Always", "CrashLoop"),
        ("exits-1", "Never", "ContainerFailed"),
        ("unpullable", "Always", "ImagePullFailed"),
        ("unstartable", "OnFailure", "ContainerStartFailed"),
    ],
)
def test_an_init_container_that_fails_is_seen_at_once(behaviour: str, policy: str, code: str) -> None:
    init = {"name": "prepare", "properties": {"image": "acme/init:1"}}
    scene = Rollout(initContainers=[init], restartPolicy=policy)
    scene.azure.image("acme/init:1", behaviour)
    scene.go_on(60)
    assert scene.images != {"web": NEW}
    # Its image is what it was before the push: to go back changes nothing about it.
    scene.go_on()
    assert (scene.results, scene.codes) == ([("2", "failed")], [code])


def test_what_cannot_be_started_is_at_fault_whatever_its_container_is_called() -> None:
    # Regression: "pull-worker" made a failed pull of it, and "denied" a registry's trouble, to be tried once more.
    scene = Rollout(images={"pull-worker": OLD})
    scene.azure.image(NEW, "unstartable")
    scene.go_on()
    scene.push_again(message("2", name="again"))
    scene.go_on()
    assert scene.results == [("2", "rolled-back"), ("again", "ignored")]
    assert scene.codes == ["ContainerStartFailed"]


@pytest.mark.parametrize("by_digest", [True, False])
def test_the_failed_pull_of_an_index_is_recognised(*, by_digest: bool) -> None:
    scene = Rollout(message("1", digest=INDEX))
    scene.azure.options(digests_in_failures=by_digest)
    scene.azure.image(OLD, "unpullable", digest=PLATFORM, index=INDEX)
    scene.go_on(1)
    assert scene.images == {"web": f"acme/shop@{INDEX}"}
    scene.go_on()
    assert (scene.results, scene.codes) == ([("1", "rolled-back")], ["ImagePullFailed"])


def test_an_index_that_runs_by_its_platforms_manifest_is_not_rolled_out_again() -> None:
    # Regression: the first sweep restarted every group that ran an image of several platforms.
    scene = Rollout(message("2", digest=INDEX))
    scene.azure.image(NEW, digest=PLATFORM, index=INDEX)
    scene.go_on()
    scene.push_again(message("2", name="again", pushed=9, digest=INDEX))
    scene.go_on(found=Found(INDEX, frozenset({PLATFORM})))
    assert scene.results == [("2", "updated"), ("again", "unchanged")]
    assert scene.truth["effective_puts"] == 1


def test_an_image_that_runs_stays_whatever_hiccups_the_platform_goes_on_telling_of() -> None:
    scene = Rollout()
    scene.azure.image(NEW, "hiccup")
    scene.go_on(120)
    assert scene.results == [("2", "updated")]


def test_a_node_that_goes_down_in_the_soak_says_nothing_of_the_image() -> None:
    scene = Rollout()
    scene.go_on(20)
    assert scene.results == []
    scene.azure.repair(SHOP)
    assert scene.azure.get(SHOP).under_repair
    scene.go_on()
    assert scene.results == [("2", "updated")]
    assert scene.images == {"web": NEW}


@pytest.mark.parametrize("shown", ["missing", "0.0.0.0"])
def test_an_address_that_is_not_shown_for_a_while_has_not_changed(shown: str) -> None:
    scene = Rollout(ipAddress={"type": "Public", "ports": [{"port": 80}], "ip": "20.50.0.2"})
    scene.azure.options(address_in_transition=shown)
    scene.go_on()
    assert scene.results == [("2", "updated")]
    assert [notice.outcome for notice in scene.told] == ["updated"]


class TestCircumstances:
    @pytest.mark.parametrize(
        ("status", "code", "details"),
        [
            (400, "InaccessibleImage", None),
            (409, "RegistryErrorResponse", None),
            (400, "MultipleErrorsOccurred", "RegistryErrorResponse,InaccessibleImage"),
            (400, "MultipleErrorsOccurred", "InaccessibleImage/DockerRegistryError"),
            (400, "BadRequest", "Conflict/ContainerGroupTransitioning"),
            (403, "AuthorizationFailed", None),
            (409, "ContainerGroupQuotaReached", None),
        ],
    )
    def test_the_newest_push_is_there_after_hours_of_it_by_itself(
        self, status: int, code: str, details: str | None
    ) -> None:
        scene = Rollout()
        scene.azure.fault("refuse", status=status, code=code, details=details, method="PUT")
        scene.go_on(4 * 3600)
        assert (scene.results, scene.images) == ([], {"web": OLD})
        scene.azure.clear_faults()
        scene.go_on()
        assert (scene.results, scene.images) == ([("2", "updated")], {"web": NEW})

    def test_what_lasts_for_longer_is_a_dead_letter_and_the_same_delivery_is_taken_up_again(self) -> None:
        scene = Rollout()
        scene.azure.fault("refuse", status=400, code="InaccessibleImage", method="PUT")
        scene.go_on(12 * 3600)
        assert (scene.results, scene.codes) == ([("2", "failed")], ["InaccessibleImage"])
        scene.azure.clear_faults()
        scene.push_again(message("2"))
        scene.go_on()
        assert scene.results[-1] == ("2", "updated")

    def test_a_registrys_limit_at_the_pull_is_taken_up_again_and_a_fault_is_not(self) -> None:
        scene = Rollout()
        for behaviour, times in (("over-limit", 1), ("unpullable", 2)):
            scene.azure.image(NEW, behaviour)
            scene.push_again(message("2"))
            scene.go_on()
            assert len(scene.codes) == times
        scene.azure.image(NEW, "good")
        scene.push_again(message("2"))
        scene.go_on()
        assert scene.images == {"web": OLD}

    def test_one_image_that_can_not_be_pulled_keeps_no_other_container_waiting(self) -> None:
        both = Target(SHOP, everything=parse_policy("any"))
        jobs = message("5", repository="acme/jobs")
        scene = Rollout(message("2"), jobs, images={"web": OLD, "jobs": "acme/jobs:4"}, target=both)
        scene.azure.image(NEW, "inaccessible")
        scene.go_on(600)
        assert scene.images == {"web": OLD, "jobs": "acme/jobs:5"}
        assert scene.results == [("5", "updated")]
        scene.azure.image(NEW, "good")
        scene.go_on()
        assert scene.images == {"web": NEW, "jobs": "acme/jobs:5"}


@pytest.mark.parametrize(
    "made",
    [
        {"isCreatedFromStandbyPool": True},
        {"containerGroupProfile": {"id": "/profiles/p", "revision": 1}},
        {"orchestratorId": "/ngroups/n"},
    ],
)
def test_a_group_that_is_not_ours_to_change_gets_no_put(made: Json) -> None:
    scene = Rollout(**made)
    scene.go_on()
    assert scene.codes == ["NotOurs"]
    assert scene.azure.stats()["writes"] == 0
