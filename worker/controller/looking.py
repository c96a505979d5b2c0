"""Looking: one step of a group's timer. Read the record and the group, decide, write the decision, carry it out."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import structlog

from shared.errors import RemoteError
from shared.leased_message import LeaseLost
from shared.message import Look
from worker.controller import spans
from worker.controller.cleaning import Cleaning
from worker.controller.crash_logs import CrashLogs
from worker.controller.failed_looks import FailedLooks
from worker.controller.lookups import all_looked_up
from worker.controller.outbox import Outbox
from worker.controller.putting import Putting
from worker.controller.settlement import Complete, Reschedule, Settlement
from worker.controller.telling import Telling, log_new_failures
from worker.controller.timers import CONFLICTS, is_named, timed
from worker.core.following import foreign_images, unknown_here
from worker.core.giving_up import no_longer_a_target
from worker.core.look import Situation
from worker.core.rules import Put, Rest, RolloutRules, Wait
from worker.failures.classify import Failure, Retry
from worker.groups.group import ContainerGroup
from worker.ports import UNREADABLE, Conflict, Ports
from worker.record.record import Record
from worker.targets.tags import BadTags
from worker.targets.target import Target

UNKNOWN_TARGET = 30
"""After how many looks in a row, in about half an hour, a group that no worker knows as a target is given up.

Another worker may have a newer targets file, so no worker drops at once what it does not know.
"""
FROM_THE_FUTURE = 20
"""How many times a look that no record names yet is tried: at first within moments, later a lease apart.

Usually its sender is about to write the record, and this worker has only been quicker to receive the look.
"""

_EARLY, _UNKNOWN = "early", "unknown target"
"""Troubles of a look that are not failures. Like the codes of failures, each has a count of its own."""

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
        self._outbox = Outbox(ports, telling, chance)
        self._failed = FailedLooks(ports, retry, self._outbox, chance)
        self._putting = Putting(ports, rules, retry, chance)
        self._lease = lease
        self._chance = chance
        self._crash_logs = CrashLogs(ports)
        self._cleaning = Cleaning(ports)

    def look(self, look: Look, lease_holds: Callable[[], bool]) -> Settlement:
        """Look once, and say what becomes of the message. `lease_holds` is asked before anything is sent or told.

        Raises LeaseLost.
        """
        try:
            for _ in range(CONFLICTS):
                record, etag = self._ports.load(look.target)
                if void := self._void(record, look):
                    return void
                with (
                    contextlib.suppress(Conflict),
                    spans.look(look, record, self._ports.updates.name),
                ):
                    return self._tell_or_look(record, etag, look, lease_holds)
                log.debug("another worker wrote the record first, deciding again")
            # Others keep writing this record. They are done in a moment, and then not all workers should come at once.
            return Reschedule(look, self._chance.uniform(0, 1))
        except LeaseLost:
            raise
        # Whatever the error is, the timer must go on: only the record may end it.
        except Exception as error:
            return self._failed.after(look, error)

    def give_up(self, look: Look, failure: Failure, crashes: int = 1) -> Settlement:
        """Nobody can look at the group, so what waits for it fails. Raises RemoteError and Conflict."""
        return self._failed.give_up(look, failure, crashes)

    def never_got_to_write(self, look: Look, crashes: int) -> bool:
        """Whether none of the looks that were received without being settled got as far as writing the record."""
        record, _ = self._ports.load(look.target)
        if record.timer is None or record.timer.token != look.token:
            return False
        # Every look writes when the next one is due. A recent time shows that looks do succeed and only their
        # settlement fails, so no worker crashes.
        silent_for = timedelta(seconds=crashes * self._lease / 2)
        return self._ports.now() > record.timer.due + silent_for

    def _void(self, record: Record, look: Look) -> Settlement | None:
        """What becomes of a look that the record does not name; None if it does."""
        if is_named(record, look):
            return None
        tries = look.tries(_EARLY)
        # A higher count means that the look is newer than the record. Its sender may be about to write (send, then
        # write), so dropping the look could leave a record whose timer does not exist.
        if look.count > record.count and tries < FROM_THE_FUTURE:
            return Reschedule(look.met(_EARLY), min(self._lease, 0.5 * 2.0**tries))
        return Complete()

    def _tell_or_look(
        self,
        record: Record,
        etag: str | None,
        look: Look,
        lease_holds: Callable[[], bool],
    ) -> Settlement:
        try:
            if record.outbox or record.address_changes:
                # This comes first. Telling after the change is tempting, but while Azure refuses the change, which may
                # go on for hours, nothing would be told.
                return self._outbox.settled(
                    record,
                    look,
                    Wait(timedelta(0), "outcomes wait to be told"),
                    etag,
                    lease_holds,
                )
            return self._look(record, etag, look, lease_holds)
        except (Conflict, LeaseLost):
            raise
        except Exception as error:
            # Handled here, and not by the caller, so that what is logged of it names the look's span.
            return self._failed.after(look, error)

    def _look(
        self,
        record: Record,
        etag: str | None,
        look: Look,
        lease_holds: Callable[[], bool],
    ) -> Settlement:
        # While many groups are in transition, one shared list saves the read of each.
        group = self._ports.watch.glance(look.target) or self._ports.groups.get(
            look.target
        )
        target = self._ports.targets.target_of(group)
        if not isinstance(target, Target):
            return self._no_target(record, etag, look, target)
        if (
            unknown_here(record, group, target)
            and look.tries(_UNKNOWN) < UNKNOWN_TARGET
        ):
            return self._no_target(record, etag, look, None)
        situation = self._situation(record, group, target)
        return self._decide_and_act(situation, etag, look, lease_holds)

    def _situation(
        self,
        record: Record,
        group: ContainerGroup,
        target: Target,
    ) -> Situation:
        """Everything that the decision depends on."""
        group = self._cleaning.cleaned(group, target, record.generation)
        # The time is by Azure's clock, which also wrote every time that the group shows. Workers' clocks may be wrong.
        now = group.azure_time(self._ports.now())
        # The names of the secrets that could be had; their values are read only once a PUT needs them.
        rules = replace(self._rules, secrets=frozenset(target.secrets))
        return Situation(record, group, target, rules, now)

    def _decide_and_act(
        self,
        situation: Situation,
        etag: str | None,
        look: Look,
        lease_holds: Callable[[], bool],
    ) -> Settlement:
        """Decide, write the decision into the record, and carry it out."""
        record, group, target = situation.record, situation.group, situation.target
        now = situation.now
        decided, action = situation.reconciled(all_looked_up(self._ports, situation))
        # This is checked before the record is written, because an image in its change counts as ours from then on.
        if isinstance(action, Put):
            _refuse_foreign_images(action, situation)
        decided = decided.redacted(self._ports.redact)
        log_new_failures(record, decided)
        # Before the change that takes the crashed containers away, and what they said with them.
        decided = self._crash_logs.added(record, decided, group, target)
        # Written before anything is sent: whoever takes over after a crash must know what may still take effect.
        etag = self._ports.save(timed(decided, action, now), etag)
        spans.rollouts(record, decided, now)
        if isinstance(action, Put):
            self._ports.watch.waits(look.target)
            return self._putting.put(
                look, timed(decided, action, now), group, target, lease_holds
            )
        if isinstance(action, Wait):
            self._ports.watch.waits(look.target)
            log.info(
                "waiting",
                reason=action.reason,
                again_in=round(action.delay.total_seconds(), 1),
            )
        return self._outbox.settled(decided, look, action, etag, lease_holds)

    def _no_target(
        self,
        record: Record,
        etag: str | None,
        look: Look,
        bad: BadTags | None,
    ) -> Settlement:
        """The group is not a target for this worker, or its tags are `bad`: wait, and give it up after many looks."""
        now = self._ports.now()
        tries = look.tries(_UNKNOWN)
        # The pushes end and are told, and nothing is changed in Azure: the group may still be another worker's target.
        if bad is None and tries >= UNKNOWN_TARGET:
            record = no_longer_a_target(record, now)
            etag = self._ports.save(timed(record, Rest(), now), etag)
            return self._outbox.settled(record, look, Rest(), etag, lambda: True)
        delay = min(self._rules.slow, timedelta(seconds=2.0 ** min(tries, 10)))
        # Bad tags are the owner's to correct, so they are waited for without end, like a hold.
        wait = Wait(delay, _why_no_target(bad), owner=bad is not None)
        self._ports.save(timed(record, wait, now), etag)
        log.info("waiting", reason=wait.reason, again_in=wait.delay.total_seconds())
        return Reschedule(look.met(_UNKNOWN), wait.delay.total_seconds())


def _why_no_target(bad: BadTags | None) -> str:
    if bad:
        return "; ".join(bad.problems)
    return "not a target in this worker's targets; another worker may know it"


def _refuse_foreign_images(put: Put, situation: Situation) -> None:
    """Raise RemoteError if the record asks for an image of a repository that the container may not run."""
    foreign = foreign_images(
        put.images, situation.group, situation.target, situation.record
    )
    if foreign:
        what = f"the record of {situation.record.target.key} wants images of other repositories: {'; '.join(foreign)}"
        raise RemoteError(
            "records", None, UNREADABLE, f"{what}; nothing was changed: delete the blob"
        )
