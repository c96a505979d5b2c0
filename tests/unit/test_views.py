"""Views of a container over time, as recordings, the documentation and public reports give them, and how each ends.

Each case is a series of moments: seconds after the PUT, the state of the operation, and what the container shows from
then on. The reconciler looks at it five times a second, with a soak of 1.5 s, until the push has ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from tests.unit.builders import RULES, Json, at, candidate, container, digest, message, pulled, record
from worker.core.reconcile import reconcile
from worker.core.rules import Put
from worker.groups.group import ContainerGroup
from worker.record.container import FailedPush
from worker.record.record import Record

FAST = replace(
    RULES,
    soak=timedelta(seconds=1.5),
    timeout=timedelta(seconds=20),
    check_interval=timedelta(seconds=0.2),
    slow=timedelta(seconds=0.2),
)
LOOKS = 200
INDEX, PLATFORM, BEFORE = digest("index"), digest("platform"), digest("before")
OLD, BY_TAG, BY_DIGEST = "acme/shop:1", "acme/shop:2", f"acme/shop@{INDEX}"
NEW = f"acme/shop@{PLATFORM}"
"""As the events name the new image: by the digest of the platform's manifest."""
HOUR_AGO = -3600.0


def event(name: str, first: float, last: float | None = None, text: str = "", count: int = 1) -> Json:
    return {
        "count": count,
        "firstTimestamp": at(first).isoformat(),
        "lastTimestamp": at(first if last is None else last).isoformat(),
        "name": name,
        "message": text,
        "type": "Warning" if name in {"Failed", "BackOff"} else "Normal",
    }


def pull(at_: float, image: str = NEW) -> list[Json]:
    """An image is pulled, and its container started."""
    return [
        event("Pulling", at_, text=f'pulling image "{image}"'),
        event("Pulled", at_ + 0.1, text=f'Successfully pulled image "{image}"'),
        event("Started", at_ + 0.2, text="Started container"),
    ]


def failed_pull(first: float, last: float, why: str = "rpc error: code = NotFound", image: str = NEW) -> list[Json]:
    return [
        event("Pulling", first, last, f'pulling image "{image}"', 3),
        event("Failed", first, last, f'Failed to pull image "{image}": {why}', 3),
    ]


def failed_start(first: float, last: float) -> Json:
    why = "Error: Failed to start container web, Error response: to create containerd task: denied"
    return event("Failed", first, last, why, 3)


def running(since: float, *events: Json) -> Json:
    state = {"state": "Running", "startTime": at(since).isoformat(), "detailStatus": ""}
    return {"restartCount": 0, "currentState": state, "events": list(events)}


def waiting(*events: Json, detail: str = "") -> Json:
    return {"restartCount": 0, "currentState": {"state": "Waiting", "detailStatus": detail}, "events": list(events)}


def crashed(at_: float, exit_code: int = 1) -> Json:
    previous = {
        "state": "Terminated",
        "exitCode": exit_code,
        "finishTime": at(at_).isoformat(),
        "detailStatus": "Error",
    }
    return waiting(detail="CrashLoopBackOff: Back-off 10s restarting failed") | {"previousState": previous}


@dataclass(frozen=True)
class Moment:
    """What is shown from `at_` on."""

    at_: float
    state: str
    view: Json = field(default_factory=waiting)
    init: Json | None = None


PENDING = Moment(0, "Pending", {})
BEGUN = running(0.4, *pull(0.2))
GETTING_READY = "CriContainerActivator is getting initialized and not ready for use."
LIMIT = "toomanyrequests: You have reached your unauthenticated pull rate limit."
FAILED_BEFORE = [
    event
    for at_ in (-30.0, -20.0, 0.1)
    for event in failed_pull(at_, at_, f"rpc error {at_}", image=f"acme/shop@{BEFORE}")
]
"""Pulls of the image before, each an entry of its own; the last one fails after the PUT."""

UPDATED: dict[str, list[Moment]] = {
    "it comes up": [PENDING, Moment(0.4, "Succeeded", BEGUN)],
    "a restart that shows the view of before for a while": [
        Moment(0, "Updating", running(HOUR_AGO, *pull(HOUR_AGO, OLD))),
        Moment(1, "Succeeded", running(1, *pull(0.8))),
    ],
    "a hiccup of the platform beside a container that runs": [
        PENDING,
        Moment(0.4, "Succeeded", running(0.5, *pull(0.2), *failed_pull(0.1, 1.2, GETTING_READY))),
    ],
    "the same, counted on for as long as anybody looks": [
        PENDING,
        *(
            Moment(0.4 + step, "Succeeded", running(0.5, *pull(0.2), *failed_pull(0.1, 0.4 + step, GETTING_READY)))
            for step in range(40)
        ),
    ],
    "the same before anything runs": [
        PENDING,
        Moment(0.4, "Succeeded", waiting(*failed_pull(0.1, 0.4, GETTING_READY))),
        Moment(3, "Succeeded", running(3, *pull(2.8), *failed_pull(0.1, 2.5, GETTING_READY))),
    ],
    "a failed pull of the same image that is over": [
        PENDING,
        Moment(0.4, "Succeeded", running(0.9, *failed_pull(0.2, 0.4), *pull(0.7))),
    ],
    "failed pulls of an hour ago": [
        PENDING,
        Moment(0.4, "Succeeded", waiting(*failed_pull(HOUR_AGO, HOUR_AGO))),
        Moment(1, "Succeeded", running(1, *pull(0.8), *failed_pull(HOUR_AGO, HOUR_AGO))),
    ],
    "the last pull of the image before fails after the PUT": [
        PENDING,
        Moment(0.2, "Pending", waiting(*failed_pull(-30, 0.1, image=f"acme/shop@{BEFORE}"))),
        Moment(
            0.4,
            "Succeeded",
            waiting(*failed_pull(-30, 0.1, image=f"acme/shop@{BEFORE}"), event("Pulling", 0.3, text=f'"{NEW}"')),
        ),
        Moment(1, "Succeeded", running(0.9, *pull(0.3), *failed_pull(-30, 0.1, image=f"acme/shop@{BEFORE}"))),
    ],
    "the same, each failure told by itself": [
        PENDING,
        Moment(0.2, "Pending", waiting(*FAILED_BEFORE)),
        Moment(1, "Succeeded", running(0.9, *pull(0.3), *FAILED_BEFORE)),
    ],
    "the last start of the image before fails after the PUT, each failure told by itself": [
        PENDING,
        Moment(0.2, "Pending", waiting(failed_start(-30, -30), failed_start(0.1, 0.1))),
        Moment(1, "Succeeded", running(0.9, *pull(0.3), failed_start(-30, -30), failed_start(0.1, 0.1))),
    ],
    "the last start of the image before fails after the PUT": [
        PENDING,
        Moment(0.2, "Pending", waiting(failed_start(-30, 0.1))),
        Moment(1, "Succeeded", running(0.9, *pull(0.3), failed_start(-30, 0.1))),
    ],
    "the node goes down in the soak": [
        PENDING,
        Moment(0.4, "Succeeded", BEGUN),
        Moment(0.8, "Unhealthy", BEGUN),
        Moment(3, "Repairing"),
        Moment(5, "Succeeded", running(5, *pull(4.7))),
    ],
    "the node is down for longer than a rollout may take": [
        PENDING,
        Moment(0.4, "Unhealthy"),
        Moment(30, "Succeeded", running(30, *pull(29.8))),
    ],
    "the node goes down, and what it ran ends with an error": [
        PENDING,
        Moment(0.4, "Succeeded", BEGUN),
        Moment(0.8, "Unhealthy", crashed(0.7, exit_code=255)),
        Moment(3, "Repairing", waiting(*failed_pull(2.8, 2.9, "connection refused"))),
        Moment(5, "Succeeded", running(5, *pull(4.7))),
    ],
    "the platform restarts it": [
        PENDING,
        Moment(0.4, "Succeeded", crashed(0.5, exit_code=7148)),
        Moment(2, "Succeeded", running(2, *pull(1.8))),
    ],
    "init containers come to their end": [
        Moment(0, "Pending", {}, waiting()),
        Moment(1, "Succeeded", BEGUN, {"currentState": {"state": "Terminated", "exitCode": 0}}),
    ],
    "an init container crashed before the change": [
        Moment(0, "Pending", {}, crashed(HOUR_AGO)),
        Moment(1, "Succeeded", BEGUN, {"currentState": {"state": "Terminated", "exitCode": 0}}),
    ],
}

ROLLED_BACK: dict[str, tuple[str, list[Moment]]] = {
    "the pull fails": ("ImagePullFailed", [PENDING, Moment(0.4, "Succeeded", waiting(*failed_pull(0.3, 1)))]),
    "the pull fails, each failure told by itself": (
        "ImagePullFailed",
        [PENDING, Moment(0.4, "Succeeded", waiting(*failed_pull(0.3, 0.3), *failed_pull(0.9, 0.9)))],
    ),
    "the pull fails while the container of before goes on": (
        "ImagePullFailed",
        [
            Moment(state_at, state, running(HOUR_AGO, *pull(HOUR_AGO, OLD), *failed_pull(0.3, 1)))
            for state_at, state in ((0, "Updating"), (2, "Succeeded"))
        ],
    ),
    "the pull fails at a registry's limit": (
        "ImagePullFailed",
        [PENDING, Moment(0.4, "Succeeded", waiting(*failed_pull(0.3, 1, LIMIT)))],
    ),
    "the pull fails, and the times are cut to the second": (
        "ImagePullFailed",
        [PENDING, Moment(1.4, "Succeeded", waiting(*failed_pull(1, 2)))],
    ),
    "it can't be started, and is tried again and again": (
        "ContainerStartFailed",
        [
            PENDING,
            Moment(0.3, "Succeeded", waiting(*pull(0.1)[:2])),
            Moment(0.8, "Succeeded", waiting(*pull(0.1)[:2], failed_start(0.4, 0.7))),
        ],
    ),
    "it crashes": ("CrashLoop", [PENDING, Moment(0.4, "Succeeded", crashed(0.5))]),
    "it crashes while its node is down, and afterwards": (
        "CrashLoop",
        [PENDING, Moment(0.4, "Unhealthy", crashed(0.5)), Moment(5, "Succeeded", crashed(4.5))],
    ),
    "an init container crashes": (
        "CrashLoop",
        [PENDING, Moment(0.4, "Succeeded", waiting(), crashed(0.7))],
    ),
    "an init container ends with an error, and is not restarted": (
        "ContainerFailed",
        [
            PENDING,
            Moment(
                0.4,
                "Failed",
                waiting(),
                {"currentState": {"state": "Terminated", "exitCode": 3, "finishTime": at(0.3).isoformat()}},
            ),
        ],
    ),
    "an init container's image can't be pulled": (
        "ImagePullFailed",
        [PENDING, Moment(0.4, "Succeeded", waiting(), waiting(*failed_pull(0.3, 1, image="acme/init:1")))],
    ),
}


def shown(moment: Moment, image: str, restart_policy: str) -> ContainerGroup:
    containers = [{"name": "web", "properties": {"image": image, "instanceView": moment.view}}]
    properties: Json = {
        "containers": containers,
        "provisioningState": moment.state,
        "restartPolicy": restart_policy,
        "instanceView": {"state": "Running", "events": []},
    }
    if moment.init is not None:
        init = {"image": "acme/init:1", "instanceView": moment.init}
        properties["initContainers"] = [{"name": "prepare", "properties": init}]
    return ContainerGroup({"properties": properties})


def fared(moments: list[Moment], image: str, restart_policy: str = "Always") -> tuple[str, list[FailedPush]]:
    """How the push ends: `updated`, or `rolled-back` once the image before is put back; and its failures."""
    now = record({"web": container(candidate(message("2"), image, digest=INDEX))})
    before = Moment(-1, "Succeeded", pulled(BEFORE))
    now, action = reconcile(now, shown(before, OLD, restart_policy), FAST, at(0))
    assert action == Put({"web": image}, restart=False)
    for look in range(LOOKS):
        seconds = look / 5
        moment = [moment for moment in moments if moment.at_ <= seconds][-1]
        now, action = reconcile(now, shown(moment, image, restart_policy), FAST, at(seconds))
        if now.outcomes:
            return now.outcomes[0].result, failures(now)
        if isinstance(action, Put):
            assert action.images == {"web": OLD}
            return "rolled-back", failures(now)
    raise AssertionError("the push never ended")


def failures(now: Record) -> list[FailedPush]:
    return list(now.containers["web"].failures)


@pytest.mark.parametrize("image", [BY_TAG, BY_DIGEST, NEW], ids=["by tag", "by the index", "of one platform"])
class TestEnds:
    @pytest.mark.parametrize("name", UPDATED)
    def test_good_images_stay(self, name: str, image: str) -> None:
        assert fared(UPDATED[name], image) == ("updated", [])

    @pytest.mark.parametrize("name", ROLLED_BACK)
    def test_bad_images_are_brought_back_from_at_once(self, name: str, image: str) -> None:
        code, moments = ROLLED_BACK[name]
        policy = "Never" if "not restarted" in name else "Always"
        result, failed = fared(moments, image, policy)
        assert (result, [item.code for item in failed]) == ("rolled-back", [code])
        assert [item.circumstance for item in failed] == ["limit" in name]


def test_a_pull_that_failed_before_and_goes_on_failing_is_the_images_fault_in_the_end() -> None:
    # Counted on in the entry of a try before this one: only after a minute is it certain whose it is.
    moments = [
        Moment(step, "Succeeded", waiting(event("Failed", HOUR_AGO, step, f'Failed to pull image "{NEW}": no')))
        for step in range(200)
    ]
    slow = replace(FAST, timeout=timedelta(seconds=900))
    now = record({"web": container(candidate(message("2"), BY_TAG))})
    now, _ = reconcile(now, shown(Moment(-1, "Succeeded", pulled(BEFORE)), OLD, "Always"), slow, at(0))
    fine, _ = reconcile(now, shown(moments[59], BY_TAG, "Always"), slow, at(59))
    assert not failures(fine)
    bad, _ = reconcile(fine, shown(moments[61], BY_TAG, "Always"), slow, at(61))
    assert [failure.code for failure in failures(bad)] == ["ImagePullFailed"]
