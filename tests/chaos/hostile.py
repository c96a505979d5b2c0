"""The hostile: what strangers, holders of a secret and holders of the queue or of the records do. Pure.

Attacks are webhooks, forgeries are messages on the queue, and tampering is done to records. Nothing of it may be run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal

from ingress.specimens import Pushed, specimen
from shared.image import ImageReference
from shared.message import from_base64, to_base64

AttackKind = Literal[
    "wrong secret", "other repository", "other cloud", "no such tag", "forged digest", "replay"
]  # fmt: skip
ATTACKS: tuple[AttackKind, ...] = (
    "wrong secret", "other repository", "other cloud", "no such tag", "forged digest", "replay",
)  # fmt: skip
EXPECTED: Mapping[AttackKind, frozenset[int]] = {
    "wrong secret": frozenset({401}),
    "other repository": frozenset({202}),
    "other cloud": frozenset({200}),
    "no such tag": frozenset({202}),
    "forged digest": frozenset({202}),
    "replay": frozenset({202}),
}
"""What an ingress answers. A 503, or no answer, may come as well while it is hurt."""
NEVER_RUN = frozenset({"other repository", "no such tag"})
"""Whose pushes may be taken, and never be updated."""
FORGED = "forged-"
"""Begins the ids of the messages that the hostile put onto the queue."""
EVIL = "evil"
"""The owner of the repositories that nobody runs."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Attack:
    """A webhook from a hostile sender, `at` seconds from the start. `push` is the number of a push that it is about."""

    at: float
    kind: AttackKind
    push: int


def digest_of(text: str) -> str:
    """A digest that no image of the run has."""
    return f"sha256:{hashlib.sha256(f'evil {text}'.encode()).hexdigest()}"


def missing_tag(number: int) -> str:
    """The tag, better than any other, that attack `number` names and that no registry has."""
    return f"99.{number}.0"


def webhook(kind: AttackKind, image: str, number: int, secret: str) -> tuple[str, dict[str, str], bytes]:
    """The path, headers and body of an attack about this image, written with its tag. A replay has none of its own."""
    named = ImageReference.parse(image)
    sender = "harbor" if kind == "other cloud" else "generic"
    path = f"/webhooks/{sender}/{'not-the-secret-at-all' if kind == 'wrong secret' else secret}"
    tag, digest, repository = named.tag, digest_of(f"{kind} {number}"), named.repository
    if kind == "other repository":
        repository = f"{EVIL}/{repository.rpartition('/')[2]}"
    elif kind in {"no such tag", "other cloud"}:
        tag = missing_tag(number)
    if kind == "other cloud":
        at = datetime.now(UTC)
        headers, body = specimen(sender, Pushed(ImageReference("docker.io", repository, tag), at, str(number)))
        return path, headers, body
    content = {
        "image": str(ImageReference(named.registry, repository, tag, digest)),
        "pushed_at": (datetime.now(UTC) + timedelta(days=400)).isoformat(),
    }
    return path, {"Content-Type": "application/json"}, json.dumps(content).encode()


def forgeries(dice: Random, targets: list[Json], image: str, count: int) -> Iterator[str]:
    """Messages as somebody who may write to the queue makes them. `image` is of a group of the run."""
    for number in range(count):
        yield dice.choice(_FORGERIES)(dice.choice(targets), image, f"{FORGED}{dice.getrandbits(64):x}-{number}")


def _push(image: str, message_id: str, **more: Any) -> str:
    named = ImageReference.parse(image)
    now = datetime.now(UTC).isoformat()
    push = {"sender": "generic", "registry": named.registry, "repository": f"{EVIL}/{named.repository}", "tag": "v9"}
    push |= {"digest": digest_of(message_id), "pushed_at": now, "proof": "operator", **more.pop("push", {})}
    content = {"schema": "aci-hooks/1", "id": message_id, "kind": "push", "push": push, "received_at": now, **more}
    return to_base64(json.dumps(content))


def _look(target: Json, **more: Any) -> str:
    return to_base64(json.dumps({"schema": "aci-hooks/1", "kind": "look", "target": target, **more}))


Forgery = Callable[[Json, str, str], str]
_FORGERIES: tuple[Forgery, ...] = (
    lambda target, image, name: _push(image, name),
    lambda target, image, name: _push(image, name, kind="rollout", target=target),
    lambda target, image, name: _push(image, name, kind="rollout", target=target, attempts=2**40, dequeued=2**40),
    lambda target, image, name: _push(image, name, received_at="9999-12-31T23:59:59Z"),
    lambda target, image, name: _push(image, name, push={"pushed_at": "9990-01-01T00:00:00+00:00"}),
    lambda target, image, name: _push(image, name, push={"tag": "../v9", "registry": "169.254.169.254"}),
    lambda target, image, name: _push(image, name, schema="aci-hooks/9"),
    lambda target, image, name: _push(image, name, target={**target, "container_group": "a/../b"}, kind="rollout"),
    lambda target, image, name: _look(target, token=name, count=0),
    lambda target, image, name: _look(target, token=name, count=10**30),
    lambda target, image, name: _look(target, token=name, count=3, attempts=-1),
    lambda target, image, name: to_base64("[" * 9000 + name),
    lambda target, image, name: to_base64(f'{{"id": "{name}", "received_at": NaN}}'),
    lambda target, image, name: f"{name} is no base64, and \\u202e no text either",
    lambda target, image, name: to_base64(name)[:-2] + "!!",
)


def tampered(kind: str, record: str, other: str) -> str:
    """What is written in the place of a record; `other` is the record of another group."""
    match kind:
        case "garbage":
            return record[: len(record) // 2] + "\x00 and so on"
        case "another's":
            return other or "{}"
        case "newer":
            return json.dumps({**json.loads(record or "{}"), "schema": "aci-hooks/record/9"})
        case _:
            raise AssertionError(f"nobody tampers by {kind!r}")


TAMPERING = ("garbage", "another's", "newer")


def with_evil_images(record: str, image: str) -> str:
    """The record of a group whose container `web` runs this image; now it says that another repository's is pinned."""
    named = ImageReference.parse(image)
    evil = {"image": str(ImageReference(named.registry, f"{EVIL}/{named.repository}", "v9"))}
    message = json.loads(from_base64(_push(image, f"{FORGED}pin")))
    pin = {"good": evil, "message": message}
    container = {"repository": named.name, "goods": [evil], "pin": pin}
    return json.dumps({**json.loads(record), "containers": {"web": container}})
