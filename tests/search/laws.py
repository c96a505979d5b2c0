"""What must hold: after every operation, and when all trouble is over and everything is at rest.

Each law yields a sentence for every breach of it. A law that knows exceptions says why they are ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from typing import Any

from shared.dead_letter import decode_letter
from shared.message import Undecodable, UpdateMessage, decode
from tests.arm_simulator.definition import give_out
from tests.search import world
from tests.search.scenery import SHOP, Container, images_of, names
from tests.search.trial import Pushed, Trial
from worker.record.record import Record

FAILED = frozenset({"failed", "rolled-back"})

Law = Callable[[Trial], Iterator[str]]


class Violation(AssertionError):
    """A law was broken. `law` is its name."""

    def __init__(self, law: str, detail: str) -> None:
        super().__init__(f"{law}: {detail}")
        self.law = law


def always(trial: Trial) -> None:
    """Raise the first Violation of what holds after every operation."""
    _uphold(trial, (timer_is_on_the_queue, changes_are_sent_as_they_should))


def in_the_end(trial: Trial, *, calm: bool) -> None:
    """Raise the first Violation of what holds at the end."""
    laws: tuple[Law, ...] = (
        every_push_is_told,
        letters_are_faults,
        good_pushes_do_not_fail,
        bad_pushes_are_not_kept,
        newest_good_push_runs,
        all_containers_are_well,
        everything_is_at_rest,
        changes_are_sent_as_they_should,
        nothing_but_images_changes,
        nothing_unforeseen_was_logged,
    )
    _uphold(trial, (*laws, no_needless_put, one_letter_for_each_fault) if calm else laws)


def _uphold(trial: Trial, laws: tuple[Law, ...]) -> None:
    for law in laws:
        for breach in law(trial):
            raise Violation(law.__name__.replace("_", " "), breach)


def timer_is_on_the_queue(trial: Trial) -> Iterator[str]:
    """A record that is not at rest names a timer, and that is on the queue; unless somebody cleared the queue."""
    record = trial.world.record
    if record.timer is None:
        if work := _work_left(record):
            yield f"no timer, but {work}"
    elif not trial.timers_lost and record.timer.token not in trial.world.timers():
        yield f"the record names {record.timer.token}, the queue has {sorted(trial.world.timers())}"


def _work_left(record: Record) -> str | None:
    parts: dict[str, Collection[object] | object | None] = {
        "inbox": record.inbox,
        "change": record.change,
        "flights": record.flights,
        "outbox": record.outbox,
        "undone": record.undone,
        "addresses to tell": record.address_changes,
    }
    return next((name for name, part in parts.items() if part), None)


def changes_are_sent_as_they_should(trial: Trial) -> Iterator[str]:
    """Under a lease, not past the owner; and nothing rests while one is on its way."""
    yield from trial.world.witness.breaches


def nothing_but_images_changes(trial: Trial) -> Iterator[str]:
    """Tags belong to the owner, and so does everything else of the group. A start gives it a new address."""
    truth = trial.world.azure.truth(SHOP)
    if _without_images(truth["definition"]) != _without_images(trial.world.first_definition):
        yield f"the definition is now {truth['definition']}"
    if truth["ip"] != trial.world.first_address and not trial.owner.stopped_once:
        yield f"the address is {truth['ip']}, was {trial.world.first_address}"
    for name, image in images_of(truth["definition"]).items():
        if not image.startswith((f"{trial.container(name).repository}:", f"{trial.container(name).repository}@")):
            yield f"{name} runs {image}"


def every_push_is_told(trial: Trial) -> Iterator[str]:
    """Every push comes to an end, and that is told."""
    told = trial.world.told()
    for push in trial.pushes:
        if not told.get(push.id):
            yield f"{push.id} was never told"


def letters_are_faults(trial: Trial) -> Iterator[str]:
    """What was told to have failed has a dead letter, and nothing else has one."""
    told, letters = trial.world.told(), letters_sent(trial)
    for push in trial.pushes:
        failed = bool(FAILED & set(told.get(push.id, ())))
        if failed != bool(letters[push.id]):
            yield f"{push.id} was told {told.get(push.id)}, and has {letters[push.id]} letters"
    own = {push.id for push in trial.pushes} | trial.world.operator.ids
    strange = {letter for letter in letters if letter not in own and not letter.startswith(world.SWEPT)}
    if strange:
        yield f"letters of nobody's pushes: {sorted(strange)}"


def letters_sent(trial: Trial) -> Counter[str]:
    """How many dead letters each push ever had, redriven ones included."""
    return Counter(_letter_id(text) for text in trial.world.letters)


@lru_cache(maxsize=1024)
def _letter_id(text: str) -> str:
    message = decode_letter(text).message
    return message.id if isinstance(message, UpdateMessage) else f"undecodable: {message[:80]}"


def one_letter_for_each_fault(trial: Trial) -> Iterator[str]:
    """Where nothing goes wrong but images, no push is told to have failed twice."""
    for message_id, count in letters_sent(trial).items():
        if count > 1:
            yield f"{message_id} has {count} letters"


def good_pushes_do_not_fail(trial: Trial) -> Iterator[str]:
    """A good image is never told to have failed; but for one that its tag stood for no more when it was its turn."""
    told = trial.world.told()
    for push in trial.pushes:
        failed = FAILED & set(told.get(push.id, ()))
        if push.quality == "good" and failed and not push.mended and not _is_spoiled(trial, push):
            yield f"{push.id} was told {told[push.id]}: {_evidence(trial, push)}"


def bad_pushes_are_not_kept(trial: Trial) -> Iterator[str]:
    """A bad image is never told to run well; but for one that its tag stood for no more when it was its turn."""
    told = trial.world.told()
    for push in trial.pushes:
        if push.quality != "good" and "updated" in told.get(push.id, ()) and not _is_spoiled(trial, push):
            yield f"{push.id} was told {told[push.id]}"


def newest_good_push_runs(trial: Trial) -> Iterator[str]:
    """In every container that no operator took back, by the order of its policy.

    Of a push whose tag has moved on before its turn nobody knows whether it ever ran: it may run, or the newest
    of the others.
    """
    running = trial.world.azure.truth(SHOP)["digests"]
    for name, container in trial.scenery.containers.items():
        if name in trial.rolled_back or container.policy is None:
            continue
        good = [push for push in trial.pushes if push.quality == "good" and names(push.message.push, container)]
        certain = [item for item in good if not _is_uncertain(trial, item)]
        if not certain:
            continue
        best = max(_place(container, item) for item in certain)
        fitting = {item.digest: item.id for item in good if _place(container, item) >= best}
        if running[name] not in fitting and not _is_owners(trial, name, running[name], certain):
            yield f"{name} runs {trial.world.images[name]}, and not {sorted(fitting.values())}"


def _place(container: Container, one: Pushed) -> tuple[object, ...]:
    """A push's place in the order of a container's policy."""
    if container.ordered:
        return one.rank, int(one.message.push.tag.rpartition(".")[2])
    return one.message.order


def _is_owners(trial: Trial, name: str, digest: str, certain: list[Pushed]) -> bool:
    """Does the container run what its owner deployed, since the newest push or, where tags have an order, ever?"""
    deployed = trial.owner.deployed.get(name)
    if deployed is None or deployed.digest != digest:
        return False
    container = trial.container(name)
    best = max(certain, key=lambda item: _place(container, item))
    return container.ordered or min(best.message.order) <= deployed.at


def _is_uncertain(trial: Trial, one: Pushed) -> bool:
    """May its image have been gone when it was its turn? Then what its tag stood for next was rolled out."""
    return bool(_moves_after(trial, one))


def _is_spoiled(trial: Trial, one: Pushed) -> bool:
    """May another image have been rolled out in its place, good for a bad one or bad for a good one?"""
    return any((other.quality == "good") != (one.quality == "good") for other in _moves_after(trial, one))


def _moves_after(trial: Trial, one: Pushed) -> list[Pushed]:
    """The later pushes of its tag, if its tag is what it may be rolled out by: so is one that the container is not on.

    Where its owner has deployed another tag, a push of the first one is written by its name, as any new tag is.
    """
    container = trial.container_of(one)
    is_new_tag = any(trial.container(name) is container for name in trial.owner.deployed)
    if one.pinned and not (container.moves and (trial.registry_answered or is_new_tag)):
        return []
    return [other for other in trial.made if other.number > one.number and other.image == one.image]


def _evidence(trial: Trial, one: Pushed) -> str:
    letters = [decode_letter(text) for text in trial.world.letters if _letter_id(text) == one.id]
    return "; ".join(f"{letter.code}: {letter.detail}" for letter in letters)


def all_containers_are_well(trial: Trial) -> Iterator[str]:
    """They run, all of them, and so does the group; also some minutes later."""
    trial.world.clock.advance(300)
    group: Any = trial.world.azure.by_owner(SHOP, "GET")
    if group["properties"]["provisioningState"] != "Succeeded":
        yield f"the last operation is {group['properties']['provisioningState']}"
    for item in group["properties"]["containers"]:
        current = item["properties"]["instanceView"]["currentState"]
        if current["state"] != "Running":
            yield f"{item['name']} ({item['properties']['image']}) is {current}"


def everything_is_at_rest(trial: Trial) -> Iterator[str]:
    """No timer, and nothing on the queue."""
    record = trial.world.record
    if record.timer is not None:
        yield f"the record has a timer: {record.timer}"
    if trial.world.updates.count():
        yield f"the queue has {[_shown(text) for text in trial.world.updates.texts]}"


def _shown(text: str) -> str:
    try:
        return repr(decode(text))
    except Undecodable as error:
        return str(error)


def no_needless_put(trial: Trial) -> Iterator[str]:
    """One PUT for what was updated, two for what failed; and one for a push that a newer one overtook on its way."""
    ended = [outcome for outcomes in trial.world.told().values() for outcome in outcomes]
    changes = ended.count("updated") + 2 * sum(ended.count(outcome) for outcome in FAILED)
    puts = trial.world.azure.stats()["effective_puts"]
    if puts > changes + len(trial.pushes):
        yield f"{puts} PUTs for {Counter(ended)}"


def nothing_unforeseen_was_logged(trial: Trial) -> Iterator[str]:
    """No step met with an exception that nobody had foreseen."""
    for line in trial.world.logs:
        if line["log_level"] in {"error", "critical"} and "exc_info" in line:
            yield repr(line)


def _without_images(definition: Any) -> dict[str, Any]:
    """What a GET shows of a definition, but for images and tags."""
    properties = give_out(definition["properties"])
    properties.pop("provisioningTimeoutInSeconds", None)  # Azure's own; it comes back with the first PUT
    properties["containers"] = [
        {**container, "properties": {key: value for key, value in container["properties"].items() if key != "image"}}
        for container in properties["containers"]
    ]
    return {**{key: value for key, value in definition.items() if key != "tags"}, "properties": properties}
