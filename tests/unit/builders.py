"""Builders of the values that the worker's core decides on. A test states what matters to it; the rest has defaults."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from shared.message import TargetId, UpdateMessage
from shared.push import Push
from tests.fakes import EPOCH
from worker.core.rules import RolloutRules
from worker.groups.group import ContainerGroup
from worker.policies.parse import parse_policy
from worker.record.container import Candidate, ContainerRecord, FailedPush, Good, Pin
from worker.record.record import Record
from worker.record.values import Change, Hold, Patience, Timer
from worker.targets.target import ContainerRule, Target

SHOP = TargetId(subscription="sub", resource_group="web", container_group="shop")
API = TargetId(subscription="sub", resource_group="web", container_group="api")
REPOSITORY = "docker.io/acme/shop"
ADDRESS = {"ip": "20.50.0.2", "fqdn": "shop.westeurope.azurecontainer.io"}
RULES = RolloutRules(
    soak=timedelta(seconds=30),
    timeout=timedelta(seconds=900),
    check_interval=timedelta(seconds=5),
    flight=timedelta(seconds=90),
)
OLD, NEW = {"web": "acme/shop:1"}, {"web": "acme/shop:2"}
"""What the group runs, and what it runs after the push of TWO."""
CRASH = "CrashLoopBackOff: Back-off 10s restarting failed; 1 restarts; last exit code 1 (Error)"
Json = dict[str, Any]


def at(seconds: float) -> datetime:
    """The time `seconds` after noon, which is when the tests begin."""
    return EPOCH + timedelta(seconds=seconds)


def digest(of: str) -> str:
    """A digest that is made from any name."""
    return f"sha256:{sha256(of.encode()).hexdigest()}"


def push(tag: str = "2", **changes: Any) -> Push:
    """A push of acme/shop."""
    plain = {"sender": "dockerhub", "registry": "docker.io", "repository": "acme/shop", "tag": tag}
    return Push.model_validate(plain | changes)


def message(
    tag: str = "2", *, name: str | None = None, pushed: float = 0, attempts: int = 0, **of_push: Any
) -> UpdateMessage:
    """The rollout message of a push that was pushed and received `pushed` seconds after noon; its id is the tag."""
    return UpdateMessage(
        id=name or tag,
        kind="rollout",
        push=push(tag, **({"pushed_at": at(pushed)} | of_push)),
        received_at=at(pushed),
        target=SHOP,
        attempts=attempts,
    )


TWO, THREE = message("2"), message("3", pushed=1)
HOLD = Hold(reason="audit", since=at(0))


def candidate(of: UpdateMessage, image: str | None = "", **rest: Any) -> Candidate:
    """A push that waits for a container. Its image is known, unless `image` is None."""
    image = f"acme/shop:{of.push.tag}" if image == "" else image
    return Candidate(**({"message": of, "image": image, "digest": of.push.digest} | rest))


def good(tag: str | None = "1", image: str | None = None, *, pushed: float | None = None, **rest: Any) -> Good:
    """An image that ran well. `pushed` is when it was pushed, or None if that is not known."""
    order = None if pushed is None else (at(pushed), at(pushed))
    return Good(image=image or f"acme/shop:{tag}", tag=tag, order=order, **rest)


def failure(of: UpdateMessage, *, seconds: float = 60, **rest: Any) -> FailedPush:
    """The failure of a push that crashed."""
    plain: Json = {
        "id": of.id,
        "tag": of.push.tag,
        "image": f"acme/shop:{of.push.tag}",
        "digest": of.push.digest,
        "pushed_at": of.push.pushed_at,
        "code": "CrashLoop",
        "at": at(seconds),
    }
    return FailedPush(**(plain | rest))


def pin(to: Good, name: str = "back", *, seconds: float = 60, **rest: Any) -> Pin:
    """A rollback by hand to a good image."""
    return Pin(message=message(to.tag or "unknown", name=name, pushed=seconds, sender="rollback"), good=to, **rest)


def container(*candidates: Candidate, **rest: Any) -> ContainerRecord:
    """What is known about a container of acme/shop. Its good image is :1."""
    return ContainerRecord(**({"repository": REPOSITORY, "candidates": candidates, "goods": (good(),)} | rest))


def change(images: Mapping[str, str] | None = None, *, since: float = 0, **rest: Any) -> Change:
    """A change under way: web gets acme/shop:2, which the message 2 asked for."""
    images = dict(images or {"web": "acme/shop:2"})
    plain: Json = {
        "generation": 1,
        "images": images,
        "asked": {"web": "2"},
        "touched": frozenset({"web"}),
        "began_at": at(since),
        "patience": Patience(looked_at=at(since)),
        "well": dict.fromkeys(images),
        "address": ADDRESS,
    }
    return Change(**(plain | rest))


def timer(due: float = 0, token: str = "live", **rest: Any) -> Timer:
    """The timer of a group."""
    return Timer(token=token, due=at(due), **rest)


def record(containers: Mapping[str, ContainerRecord] | None = None, **rest: Any) -> Record:
    """The record of SHOP."""
    return Record(target=SHOP, containers=dict(containers or {}), **rest)


def target(policy: str = "any", *containers: str) -> Target:
    """SHOP as a target: these containers, or else web, follow their repositories by this policy."""
    return Target(SHOP, {name: ContainerRule(parse_policy(policy)) for name in containers or ("web",)})


def ends(of: Record) -> list[tuple[str, str, str]]:
    """How pushes have ended, the newest first: id, result and detail."""
    return [(outcome.id, outcome.result, outcome.detail) for outcome in of.outcomes]


def queued(of: Record, name: str = "web") -> list[str]:
    """The ids of a container's candidates, the best first."""
    return [waiting.id for waiting in of.containers[name].candidates]


def event(name: str, seconds: float, text: str = "", kind: str = "Normal") -> Json:
    """An event of an instance view."""
    stamp = at(seconds).isoformat()
    return {"count": 1, "firstTimestamp": stamp, "lastTimestamp": stamp, "name": name, "message": text, "type": kind}


def running(since: float, *events: Json) -> Json:
    """The instance view of a container that runs."""
    state = {"state": "Running", "startTime": at(since).isoformat(), "detailStatus": ""}
    return {"restartCount": 0, "currentState": state, "events": list(events)}


def pulled(image_digest: str, since: float = -3600) -> Json:
    """The instance view of a container that pulled an image of this digest when it was started, and runs."""
    return running(since, event("Pulled", since, f'Successfully pulled image "acme/shop@{image_digest}"'))


def crash_loop(at_seconds: float) -> Json:
    """The instance view of a container that crashed and waits to be restarted."""
    back_off = "CrashLoopBackOff: Back-off 10s restarting failed"
    return {
        "restartCount": 1,
        "currentState": {"state": "Waiting", "detailStatus": back_off},
        "previousState": {
            "state": "Terminated",
            "exitCode": 1,
            "finishTime": at(at_seconds).isoformat(),
            "detailStatus": "Error",
        },
        "events": [],
    }


def waiting() -> Json:
    """The instance view of a container that is starting."""
    return {"restartCount": 0, "currentState": {"state": "Waiting", "detailStatus": ""}, "events": []}


def group(
    images: Mapping[str, str] | None = None,
    views: Mapping[str, Json] | None = None,
    *,
    state: str = "Succeeded",
    shown: str = "Running",
    **rest: Any,
) -> ContainerGroup:
    """A group whose containers run these images, for an hour unless `views` says otherwise."""
    containers = [
        {"name": name, "properties": {"image": image, "instanceView": (views or {}).get(name, running(-3600))}}
        for name, image in (images or {"web": "acme/shop:1"}).items()
    ]
    properties = {
        "containers": containers,
        "provisioningState": state,
        "ipAddress": ADDRESS,
        "instanceView": {"state": shown, "events": []},
    }
    own = "/subscriptions/sub/resourceGroups/web/providers/Microsoft.ContainerInstance/containerGroups/shop"
    tags = rest.pop("tags", {})
    return ContainerGroup({"id": own, "tags": tags, "properties": properties | rest})


def the_change(now: Record) -> Change:
    """The change that is under way."""
    assert now.change is not None
    return now.change
