"""One run: set the stage, let the senders and the mischief loose, wait until all is quiet, and judge."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from shared.errors import RemoteError
from shared.queue import Queue
from tests.chaos.attackers import Attackers
from tests.chaos.census import Census
from tests.chaos.evidence import Evidence, gather
from tests.chaos.hostile import missing_tag
from tests.chaos.laws import Verdict, judge
from tests.chaos.mischief import Mischief, set_faults
from tests.chaos.plan import REGISTRY, Plan, Push
from tests.chaos.registry import Registry
from tests.chaos.senders import Senders
from tests.chaos.stage import RESOURCE_GROUP, Stage
from tests.processes import PROJECT, ProcessError

QUIET = 240.0
"""Seconds that the workers have to come to rest once the mischief is over."""


@dataclass(frozen=True)
class Run:
    """A run and what became of it. `answers` counts what the senders were told, `quiet` is in seconds."""

    plan: Plan
    folder: Path
    evidence: Evidence
    verdict: Verdict
    mischief: Counter[str]
    answers: Counter[str]
    quiet: float


def run(plan: Plan, folder: Path, checkout: Path = PROJECT) -> Run:
    """Carry a plan out, with the workers and ingresses of `checkout`; every log stays in `folder`."""
    patience = str(plan.patience)
    with (
        Registry(plan.registry) as registry,
        Stage(folder, targets_file(plan), checkout=checkout, ACI_HOOKS_OUTAGE_PATIENCE=patience) as stage,
    ):
        updates, _, records = stage.open()
        _set_up(stage, plan)
        addresses = {group["name"]: group["ip"] for group in stage.arm.groups()}
        senders = Senders(plan, stage.urls, lambda push: _move_tag(stage, registry, push))
        attackers = Attackers(plan, stage.urls)
        mischief = Mischief(stage, plan, updates, records)
        delivered = partial(_delivered, plan, senders)
        with Census(stage.azurite.connection_string, updates.name, records, delivered) as census:
            _active_phase(plan, senders, attackers, mischief, time.time())
        stage.arm.clear_faults()
        rested = time.time()
        _quiet_phase(stage, updates)
        quiet = time.time() - rested
        addresses |= mischief.addresses
        exit_codes = _stop_workers(stage)
        told = ([*senders.accepted, *attackers.replayed], addresses, exit_codes, mischief.left_alone, census.samples)
        evidence = gather(stage, updates, records, *told, attacks=attackers.taken, forged=mischief.forged)
    verdict = judge(plan, evidence)
    verdict.violations += [*mischief.problems, *(f"REFUSED: {item}" for item in senders.refused), *attackers.problems]
    return Run(plan, folder, evidence, verdict, mischief.counts + attackers.counts, senders.answers, quiet)


def targets_file(plan: Plan) -> str:
    """The targets file of a plan's groups."""
    targets = [
        {
            "container_group": group,
            "resource_group": RESOURCE_GROUP,
            "containers": {name: {"policy": repository.policy} for name, repository in containers.items()},
        }
        for group, containers in plan.groups.items()
    ]
    # There is no such registry, and senders prove themselves by the common token alone.
    registries = {REGISTRY: {"believe": "always"}}
    return str(yaml.safe_dump({"targets": targets, "registries": registries}, sort_keys=False))


def _set_up(stage: Stage, plan: Plan) -> None:
    stage.arm.options(seed=plan.seed, transition_seconds=0.3, pull_seconds=0.1, back_off_seconds=0.5)
    for group, containers in plan.groups.items():
        stage.place(group, {name: repository.first_image for name, repository in containers.items()})
    for push in plan.pushes:
        if not push.is_good:
            for image in push.images:
                stage.arm.image(image, push.behaviour)
    for number, attack in enumerate(plan.attacks):
        # While the registry gives no answer, such a tag may be put: Azure can't find it either.
        if attack.kind == "no such tag":
            written = plan.pushes[attack.push].repository.written
            stage.arm.image(f"{written}:{missing_tag(number)}", "inaccessible")
    stage.start_workers(plan.workers)
    stage.start_ingresses(plan.ingresses)
    stage.wait_for_workers()
    set_faults(stage.arm)


def _delivered(plan: Plan, senders: Senders) -> set[tuple[str, str]]:
    return {(item.id, group) for item in list(senders.accepted) for group in plan.groups_of(item.push.repository)}


def _move_tag(stage: Stage, registry: Registry, push: Push) -> None:
    """The tag points at the image from now on, in the registry that there is, or for Azure alone."""
    if push.repository.kind == "rolling":
        stage.arm.image(push.repository.first_image, digest=push.digest)
    if push.repository.host:
        stage.arm.image(f"{push.repository.written}:{push.tag}", push.behaviour, digest=push.digest)
        registry.push(push.repository.name, push.tag, push.digest)


def _active_phase(plan: Plan, senders: Senders, attackers: Attackers, mischief: Mischief, began: float) -> None:
    sending = threading.Thread(target=senders.run, args=(began,), name="senders", daemon=True)
    attacking = threading.Thread(target=attackers.run, args=(began,), name="attackers", daemon=True)
    troubling = threading.Thread(target=mischief.run, args=(began,), name="mischief", daemon=True)
    for thread in (sending, attacking, troubling):
        thread.start()
    time.sleep(max(0.0, began + plan.seconds - time.time()))
    mischief.stop()
    attackers.stop()
    troubling.join()
    attacking.join()
    # Deliveries that nobody took yet go on in the quiet phase: a sender with retries does not know that it has begun.
    sending.join(QUIET)
    senders.give_up()
    sending.join()


def _quiet_phase(stage: Stage, updates: Queue) -> None:
    for slot in [*stage.ingresses, *stage.workers]:
        slot.revive()
    deadline = time.monotonic() + QUIET
    _wait_for_rest(updates, deadline)
    # What failed while Azure could not pull it is no failed push: a sweep takes it up again. It exits with 1, as not
    # all registries are there to be asked.
    stage.command("sweep").wait(QUIET)
    _wait_for_rest(updates, deadline)


def _wait_for_rest(updates: Queue, deadline: float) -> None:
    looks = 0
    while looks < 3 and time.monotonic() < deadline:
        time.sleep(0.3)
        try:
            looks = looks + 1 if updates.count() == 0 else 0
        except RemoteError:
            looks = 0


def _stop_workers(stage: Stage) -> dict[str, int]:
    try:
        return stage.stop_workers()
    except ProcessError as error:
        print(error)
        return {"a worker": -9}
