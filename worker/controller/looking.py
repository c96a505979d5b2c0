"""Looking: one step of a group's timer. Read the record and the group, decide, write the decision, act."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from shared.errors import RemoteError
from shared.message import Look
from shared.queue import LeaseLost
from shared.telemetry import STEP_FAILURES
from worker.controller.putting import Putting
from worker.controller.settlement import Complete, Reschedule, Settlement
from worker.controller.telling import Telling
from worker.controller.timers import CONFLICTS
from worker.core.admit import abandon
from worker.core.failing import conclude, fail
from worker.core.following import foreign_images, unknown_here
from worker.core.look import Absence, Situation
from worker.core.rules import Action, Put, Rest, RolloutRules, Wait
from worker.failures.classify import GONE, Failure, Retry, Transient, classify, is_circumstance
from worker.groups.group import ContainerGroup
from worker.ports import UNREADABLE, Conflict, Ports
from worker.record.record import Record
from worker.targets.tags import BadTags
from worker.targets.target import Target

MOST_LOOKUPS = 10
"""Pushes of one group whose digests are asked for in one look."""
UNKNOWN_TARGET = 30
"""Looks in a row, about half an hour, at a group that no worker who looked knows as a target.

Another worker may have a newer targets file: none may drop what it does not know.
"""
FROM_THE_FUTURE = 20
"""Tries of a look that no record names yet, the first ones in moments, the others a lease apart.

Whoever sent it is about to write, as a rule: another worker has only been quicker to receive it.
"""

_EARLY, _UNKNOWN = "early", "unknown target"
"""What a look may meet beside the codes of failures; its tries are counted for each on its own."""

log = structlog.get_logger()


class Looking:
    """Carries out looks, for many threads at once. `lease` is in seconds."""

    def __init__(
        self,
        ports: Ports,
        rules: RolloutRules,
        retry: Retry,
        telling: Telling,
        *,
        lease: float,
        chance: random.Random,
    ) -> None:
        self._ports = ports
        self._rules = rules
        self._retry = retry
        self._telling = telling
        self._putting = Putting(ports, rules, retry, chance)
        self._lease = lease
        self._chance = chance
        self._learnt: frozenset[tuple[str, str]] = frozenset()

    def look(self, look: Look, is_held: Callable[[], bool]) -> Settlement:
        """One look; what becomes of its message. `is_held` says whether its lease still stands. Raises LeaseLost."""
        try:
            for _ in range(CONFLICTS):
                record, etag = self._ports.load(look.target)
                if void := self._void(record, look):
                    return void
                if record.outbox or record.address_changes:
                    # Before the step: a change that Azure refuses for hours would delay the news for as long.
                    return self._tell(
                        record, look, Wait(timedelta(0), "outcomes are still to be reported"), etag, is_held
                    )
                with contextlib.suppress(Conflict):
                    return self._look(record, etag, look, is_held)
                log.debug("record written by another worker, deciding again")
            return Reschedule(look, self._chance.uniform(0, 1))
        except LeaseLost:
            raise
        # Whatever happens, the look goes on: nothing may end a group's timer but its record.
        except Exception as error:
            return self._failed(look, error)

    def never_got_to_write(self, look: Look, crashes: int) -> bool:
        """Did none of the looks that were received and not settled get so far as to write the record?

        Every look writes when the next one is due. If that is recent, no worker died: only settling fails.
        """
        record, _ = self._ports.load(look.target)
        named = record.timer is not None and record.timer.token == look.token
        silent_for = timedelta(seconds=crashes * self._lease / 2)
        return named and record.timer is not None and self._ports.now() > record.timer.due + silent_for

    def _void(self, record: Record, look: Look) -> Settlement | None:
        """A look that the record does not name: of the past, or sent by somebody who has still to write."""
        if record.timer and record.timer.token == look.token:
            return None
        tries = look.tries(_EARLY)
        if look.count > record.count and tries < FROM_THE_FUTURE:
            return Reschedule(look.met(_EARLY), min(self._lease, 0.5 * 2.0**tries))
        return Complete()

    def _look(self, record: Record, etag: str | None, look: Look, is_held: Callable[[], bool]) -> Settlement:
        group = self._ports.watch.glance(look.target) or self._ports.groups.get(look.target)
        target = self._ports.targets.target_of(group)
        if not isinstance(target, Target):
            return self._no_target(record, etag, look, target)
        if unknown_here(record, group, target) and look.tries(_UNKNOWN) < UNKNOWN_TARGET:
            return self._no_target(record, etag, look, None)
        group = self._clean(group, target)
        now = group.azure_time(self._ports.now())
        rules = replace(self._rules, secrets=frozenset(target.secrets))
        situation = Situation(record, group, target, rules, now)
        decided, action = situation.reconciled(self._looked_up(situation, situation.admitted()))
        if isinstance(action, Put) and (foreign := foreign_images(action.images, group, target, record)):
            what = f"the record of {look.target.key} wants images of other repositories: {'; '.join(foreign)}"
            raise RemoteError("records", None, UNREADABLE, f"{what}; nothing was changed: delete the blob")
        decided = decided.redacted(self._ports.redact)
        for undone in decided.undone:
            if undone not in record.undone:
                log.warning("push failed on the group", push=undone.message.id, code=undone.code, detail=undone.detail)
        etag = self._write(decided, etag, action, now)
        if isinstance(action, Put):
            self._ports.watch.waits(look.target)
            return self._putting.put(look, _timed(decided, action, now), group, target, is_held)
        if isinstance(action, Wait):
            self._ports.watch.waits(look.target)
            log.info("waiting", reason=action.reason, again_in=round(action.delay.total_seconds(), 1))
        if decided.outbox or decided.address_changes:
            return self._tell(decided, look, action, etag, is_held)
        return Complete() if isinstance(action, Rest) else self._later(look, _delay(action))

    def _clean(self, group: ContainerGroup, target: Target) -> ContainerGroup:
        """The group without a secret in what it says, before any of that is kept: evidence is cut, and half a secret
        can't be told any more.

        Another worker may have put the secrets onto it, and this one know none of them yet.
        """
        secrets = frozenset(target.secrets.items())
        if group.says_something and group.withheld() and not secrets <= self._learnt:
            with contextlib.suppress(RemoteError):
                self._ports.resolve(dict(target.secrets))
                self._learnt |= secrets
        return group.redacted(self._ports.redact)

    def _looked_up(self, situation: Situation, record: Record) -> Record:
        """The record with the digests of the best candidates, as their registries tell them."""
        for _ in range(MOST_LOOKUPS):
            message = situation.to_look_up(record)
            if message is None:
                break
            try:
                digest = self._ports.digest(message.push)
            except RemoteError as error:
                failure = classify(error)
                log.info("image not found", image=str(message.push.image), detail=failure.detail)
                absence = Absence(failure.code, self._ports.redact(failure.detail))
                return situation.looked_up(record, message, absence)
            record = situation.looked_up(record, message, digest)
        return record

    def _write(self, record: Record, etag: str | None, action: Action, now: datetime) -> str:
        """Write the decision, with the time of the next look; without a timer if the group is at rest."""
        return self._ports.save(_timed(record, action, now), etag)

    def _tell(
        self, record: Record, look: Look, action: Action, etag: str | None, is_held: Callable[[], bool]
    ) -> Settlement:
        """Tell what has ended, then write that it has been told. Raises LeaseLost: another worker tells it then."""
        if not is_held():
            raise LeaseLost(look.token)
        self._telling.tell(record)
        told = record.told(record.outbox, record.address_changes)
        for _ in range(CONFLICTS):
            try:
                self._ports.save(_timed(told, action, self._ports.now()), etag)
            except Conflict:
                current, etag = self._ports.load(look.target)
                told, action = current.told(record.outbox, record.address_changes), Wait(timedelta(0), "more came in")
                continue
            return Complete() if isinstance(action, Rest) else self._later(look, _delay(action))
        return self._later(look, self._chance.uniform(0, 1))

    def _later(self, look: Look, delay: float) -> Settlement:
        return Reschedule(look.model_copy(update={"attempts": 0, "trouble": "", "waited": 0.0}), delay)

    def _no_target(self, record: Record, etag: str | None, look: Look, bad: BadTags | None) -> Settlement:
        """Nobody may drop what only this worker does not know. Tags that are no policies wait for their owner."""
        now = self._ports.now()
        tries = look.tries(_UNKNOWN)
        if bad is None and tries >= UNKNOWN_TARGET:
            gone = "it is no longer a target"
            record = conclude(record, gone, now)
            record = abandon(record, set(record.change.asked.values()) if record.change else (), gone, now)
            for message in record.waiting().values():
                record = record.end(message, "ignored", gone, (), now)
            record = record.without_candidates(lambda _name, _candidate: True).but(inbox=(), change=None)
            etag = self._ports.save(_timed(record, Rest(), now), etag)
            return self._tell(record, look, Rest(), etag, lambda: True) if record.outbox else Complete()
        owner = bad is not None
        why = "; ".join(bad.problems) if bad else "unknown target; another worker may know it"
        wait = Wait(min(self._rules.slow, timedelta(seconds=2.0 ** min(tries, 10))), why, owner=owner)
        self._write(record, etag, wait, now)
        log.info("waiting", reason=wait.reason, again_in=wait.delay.total_seconds())
        return Reschedule(look.met(_UNKNOWN), wait.delay.total_seconds())

    def _failed(self, look: Look, error: Exception) -> Settlement:
        """Nobody could look: again later, and the pushes fail only once that has gone on for too long."""
        failure = classify(error)
        failure = replace(failure, detail=self._ports.redact(failure.detail))
        STEP_FAILURES.labels(failure.code).inc()
        attempts = look.tries(failure.code) + 1
        if not isinstance(error, RemoteError):
            log.exception("look failed, retrying")
        # Where only telling fails, as the poison queue does not answer, no image is at fault.
        about_telling = isinstance(error, RemoteError) and error.service == "queue"
        if self._retry.is_over(failure, attempts, look.waited) and not about_telling:
            log.error("look failed for good", code=failure.code, detail=failure.detail, attempts=attempts)
            # Its record may be the very thing that can't be read: then nothing can end yet, and the look goes on.
            with contextlib.suppress(Conflict, RemoteError):
                return self.give_up(look, failure)
        delay = (
            self._retry.delay(failure, attempts, self._chance) if isinstance(failure, Transient) else self._retry.base
        )
        log.warning(
            "look failed", code=failure.code, detail=failure.detail, attempts=attempts, again_in=round(delay, 1)
        )
        self._postpone(look, delay)
        again = look.met(failure.code).model_copy(update={"waited": look.waited + delay})
        return Reschedule(again, delay, to_be_mended=failure.code == UNREADABLE)

    def _postpone(self, look: Look, delay: float) -> None:
        """Write when the next look is due, as far as that can be written: else the look would count as overdue."""
        with contextlib.suppress(Conflict, RemoteError, ValueError):
            record, etag = self._ports.load(look.target)
            if record.timer and record.timer.token == look.token:
                self._write(record, etag, Wait(timedelta(seconds=delay), ""), self._ports.now())

    def give_up(self, look: Look, failure: Failure, crashes: int = 1) -> Settlement:
        """The group can't be looked at: what waits for it has failed. Raises RemoteError, Conflict.

        A circumstance proves nothing of what is on the group already: that is watched again when it is over.
        """
        record, etag = self._ports.load(look.target)
        if not (record.timer and record.timer.token == look.token):
            return Complete()
        now = self._ports.now()
        attempts = look.tries(failure.code) + crashes
        gone = failure.code in GONE
        # Whatever kept everybody from looking, it says nothing of an image that nobody has seen.
        watched = record.change and is_circumstance(failure) and not gone
        on_group = set(record.change.asked.values()) if record.change and watched else set()
        ways_back = {one.pin.message.id for one in record.containers.values() if one.pin and gone}
        waiting = (record.waiting().keys() - on_group) | ways_back
        record = fail(record, waiting, failure.code, failure.detail, now, circumstance=True, attempts=attempts)
        record = conclude(record, f"not rolled back: {failure.detail}", now)
        if gone:
            # It is gone, and what comes under its name one day is another group.
            record = record.anew()
        unfinished = record.change or record.flights
        action: Action = Wait(timedelta(seconds=self._retry.longest), failure.detail) if unfinished else Rest()
        etag = self._write(record, etag, action, now)
        if record.outbox:
            return self._tell(record, look, action, etag, lambda: True)
        return Complete() if isinstance(action, Rest) else self._later(look, _delay(action))


def _timed(record: Record, action: Action, now: datetime) -> Record:
    """The record with its timer as the action leaves it. What is still to be told keeps a group from resting."""
    if record.timer is None or (isinstance(action, Rest) and not record.outbox and not record.address_changes):
        return record.but(timer=None)
    owner = isinstance(action, Wait) and action.owner
    due = now + timedelta(seconds=_delay(action))
    return record.but(timer=record.timer.but(due=due, owner=owner, throttled=False))


def _delay(action: Action) -> float:
    return action.delay.total_seconds() if isinstance(action, Wait) else 0.0
