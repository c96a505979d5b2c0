"""The queue: what is sent to Azure Storage, whose a lease is, and until when. The real SDK, without a network."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.storage.queue import QueueMessage

from shared import storage_actions
from shared.dead_letter import DeadLetter
from shared.environment import read_settings
from shared.errors import RemoteError
from shared.leased_message import LeasedMessage, LeaseLost
from shared.queue import Queue, dead_letter, open_queues
from shared.settings import WorkerSettings
from tests.unit.builders import at, message
from tests.unit.storage_wire import CONNECTION, Scripted, Wire, client, done, messages, refused

LEASE = 30
WORKER = {"AZURE_SUBSCRIPTION_ID": "sub", "RESOURCE_GROUP_NAME": "web", "CONTAINER_GROUP_NAME": "shop"}
SENT: Scripted = (201, {}, messages("sent")[2])
DELETED: Scripted = (204, {}, "")
CREATED: Scripted = (201, {}, "")
NO_QUEUE = refused(404, "QueueNotFound")
LETTER = DeadLetter(
    reason="r", code="C", detail="d", attempts=1, first_received_at=at(0), dead_lettered_at=at(1), message=message("2")
)


class Ticks:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def queue_on(wire: Wire, clock: Ticks | None = None) -> Queue:
    return Queue(client(wire), LEASE, clock or Ticks())


def received(wire: Wire, clock: Ticks | None = None) -> tuple[Queue, LeasedMessage]:
    """A queue whose one message was received at the clock's 100."""
    wire.answers.insert(0, messages("text"))
    queue = queue_on(wire, clock)
    (leased,) = queue.receive(1)
    wire.requests.clear()
    return queue, leased


class TestRequests:
    def test_a_message_never_expires_and_waits_whole_seconds(self) -> None:
        wire = Wire(SENT, SENT)
        queue_on(wire).send("now")
        queue_on(wire).send("later", 2.1)
        (method, path, now, body), (_, _, later, _) = wire.requests
        assert (method, path) == ("POST", "/updates/messages")
        assert now == {"messagettl": "-1", "visibilitytimeout": "0"}
        assert later["visibilitytimeout"] == "3", "not a moment too soon"
        assert "<MessageText>now</MessageText>" in body

    def test_a_negative_delay_is_none(self) -> None:
        wire = Wire(SENT)
        queue_on(wire).send("now", -4.0)
        assert wire.requests[0][2]["visibilitytimeout"] == "0"

    def test_a_receive_is_one_request_for_at_most_32(self) -> None:
        wire = Wire(messages("one", "two", dequeued=3))
        one, two = queue_on(wire).receive(99)
        assert wire.requests == [("GET", "/updates/messages", {"numofmessages": "32", "visibilitytimeout": "30"}, "")]
        assert (one.id, one.text, one.dequeue_count, one.inserted_at) == ("id-1", "one", 3, at(0))
        assert two.text == "two"

    def test_a_peek_leases_nothing(self) -> None:
        wire = Wire(messages("one", "two"))
        assert queue_on(wire).peek() == ["one", "two"]
        assert wire.requests == [("GET", "/updates/messages", {"peekonly": "true", "numofmessages": "32"}, "")]

    def test_a_receive_of_fewer_asks_for_fewer(self) -> None:
        wire = Wire(messages())
        assert queue_on(wire).receive(2) == []
        assert wire.requests[0][2]["numofmessages"] == "2"

    def test_a_renewal_keeps_the_content_and_a_reschedule_replaces_it(self) -> None:
        wire = Wire(done(), done("receipt-3"))
        queue, leased = received(wire)
        queue.renew(leased)
        queue.reschedule(leased, "again", 7.5)
        (_, path, renewal, kept), (_, _, reschedule, replaced) = wire.requests
        assert path == "/updates/messages/id-1"
        assert (renewal, kept) == ({"popreceipt": "receipt-1", "visibilitytimeout": "30"}, "")
        assert reschedule == {"popreceipt": "receipt-2", "visibilitytimeout": "8"}, "the newest receipt counts"
        assert "<MessageText>again</MessageText>" in replaced

    def test_a_completion_deletes_by_the_newest_receipt(self) -> None:
        wire = Wire(done(), DELETED)
        queue, leased = received(wire)
        queue.renew(leased)
        queue.complete(leased)
        assert wire.requests[1][:3] == ("DELETE", "/updates/messages/id-1", {"popreceipt": "receipt-2"})

    def test_messages_are_counted(self) -> None:
        wire = Wire((200, {"x-ms-approximate-messages-count": "7"}, ""), NO_QUEUE, refused(503, "ServerBusy"))
        queue = queue_on(wire)
        assert [queue.count(), queue.count()] == [7, 0], "a queue that is not there yet has none"
        with pytest.raises(RemoteError, match="ServerBusy"):
            queue.count()

    def test_whether_it_is_there(self) -> None:
        wire = Wire((200, {"x-ms-approximate-messages-count": "0"}, ""), NO_QUEUE, refused(403, "AuthorizationFailure"))
        queue = queue_on(wire)
        assert [queue.exists(), queue.exists()] == [True, False]
        with pytest.raises(RemoteError, match="AuthorizationFailure"):
            queue.exists()


class TestMissingQueue:
    def test_it_is_created_and_the_call_made_again(self) -> None:
        wire = Wire(NO_QUEUE, CREATED, SENT)
        queue_on(wire).send("text")
        assert [(method, path) for method, path, _, _ in wire.requests] == [
            ("POST", "/updates/messages"),
            ("PUT", "/updates"),
            ("POST", "/updates/messages"),
        ]

    def test_that_another_worker_was_faster_does_no_harm(self) -> None:
        queue_on(wire := Wire(refused(409, "QueueAlreadyExists"))).ensure()
        assert wire.answers == []

    def test_one_that_is_being_deleted_is_told(self) -> None:
        with pytest.raises(RemoteError, match="QueueBeingDeleted"):
            queue_on(Wire(NO_QUEUE, refused(409, "QueueBeingDeleted"))).send("text")

    def test_only_a_missing_queue_is_created(self) -> None:
        wire = Wire(refused(403, "AuthorizationFailure"))
        with pytest.raises(RemoteError, match="AuthorizationFailure"):
            queue_on(wire).send("text")
        assert len(wire.requests) == 1

    def test_a_broken_connection_is_told(self) -> None:
        with pytest.raises(RemoteError) as caught:
            queue_on(Wire(ServiceRequestError("no route"))).send("text")
        assert (caught.value.status, caught.value.code, caught.value.message) == (None, "Unreachable", "no route")


class TestLease:
    def test_it_is_measured_from_before_the_receive(self) -> None:
        # Azure starts the timeout when it carries the call out; an answer that takes its time must not lengthen it.
        clock = Ticks()
        wire = Wire(messages("text"))
        wire.meanwhile = lambda: clock.advance(9)
        (leased,) = queue_on(wire, clock).receive(1)
        assert leased.expires == 130

    def test_it_is_measured_from_before_the_renewal(self) -> None:
        clock = Ticks()
        wire = Wire(done())
        queue, leased = received(wire, clock)
        clock.now = 120.0
        wire.meanwhile = lambda: clock.advance(9)
        queue.renew(leased)
        assert leased.expires == 150

    def test_a_renewal_that_fails_lengthens_nothing(self) -> None:
        clock = Ticks()
        queue, leased = received(Wire(refused(503, "ServerBusy")), clock)
        clock.now = 120.0
        with pytest.raises(RemoteError, match="ServerBusy"):
            queue.renew(leased)
        assert (leased.expires, leased.lost, leased.settled) == (130, False, False)

    def test_it_is_held_until_it_ends(self) -> None:
        clock = Ticks()
        _, leased = received(Wire(), clock)
        clock.now = 129.9
        assert leased.lease_holds(clock)
        clock.now = 130.0
        assert not leased.lease_holds(clock)

    def test_it_wants_a_renewal_when_less_than_the_margin_is_left(self) -> None:
        clock = Ticks()
        _, leased = received(Wire(), clock)
        clock.now = 115.0
        assert not leased.wants_renewal(15, clock)
        clock.now = 115.1
        assert leased.wants_renewal(15, clock)

    @pytest.mark.parametrize("code", ["MessageNotFound", "PopReceiptMismatch"])
    def test_one_that_is_lost_is_never_used_again(self, code: str) -> None:
        clock = Ticks()
        wire = Wire(refused(404, code))
        queue, leased = received(wire, clock)
        with pytest.raises(LeaseLost):
            queue.renew(leased)
        assert leased.lost
        assert not leased.lease_holds(clock)
        clock.now = 129.0
        assert not leased.wants_renewal(15, clock)
        with pytest.raises(LeaseLost):
            queue.complete(leased)
        assert len(wire.requests) == 1, "nothing is asked of Azure any more"

    def test_a_settled_message_is_not_settled_or_renewed_again(self) -> None:
        clock = Ticks()
        wire = Wire(done())
        queue, leased = received(wire, clock)
        queue.reschedule(leased, "again", 5)
        clock.now = 129.0
        assert not leased.wants_renewal(15, clock)
        for settle in (queue.complete, queue.renew):
            with pytest.raises(LeaseLost):
                settle(leased)
        assert len(wire.requests) == 1

    def test_a_settlement_that_fails_can_be_tried_again(self) -> None:
        wire = Wire(refused(503, "ServerBusy"), DELETED)
        queue, leased = received(wire)
        with pytest.raises(RemoteError, match="ServerBusy"):
            queue.complete(leased)
        assert not leased.settled
        queue.complete(leased)
        assert leased.settled

    def test_a_message_without_its_insertion_time_is_not_from_a_queue(self) -> None:
        with pytest.raises(ValueError, match="insertion time"):
            LeasedMessage(QueueMessage("text", id="1", pop_receipt="r"), 0)


class TestDeadLetter:
    def test_it_is_sent_before_the_message_is_deleted(self) -> None:
        order: list[str] = []
        wire, poison_wire = Wire(DELETED), Wire(SENT)
        queue, leased = received(wire)
        wire.meanwhile = lambda: order.append("deleted")
        poison_wire.meanwhile = lambda: order.append("sent")
        dead_letter(queue, queue_on(poison_wire), leased, LETTER)
        assert order == ["sent", "deleted"]
        assert leased.settled

    def test_a_letter_that_can_not_be_sent_leaves_the_message(self) -> None:
        wire = Wire()
        queue, leased = received(wire)
        with pytest.raises(RemoteError):
            dead_letter(queue, queue_on(Wire(refused(503, "ServerBusy"))), leased, LETTER)
        assert (wire.requests, leased.settled) == ([], False)

    def test_a_deletion_that_is_tried_again_sends_no_second_letter(self) -> None:
        def twice(call: Any) -> None:
            try:
                call()
            except RemoteError:
                call()

        poison_wire = Wire(SENT)
        queue, leased = received(Wire(refused(503, "ServerBusy"), DELETED))
        dead_letter(queue, queue_on(poison_wire), leased, LETTER, twice)
        assert len(poison_wire.requests) == 1
        assert leased.settled


class TestRights:
    MISMATCH = refused(403, "AuthorizationPermissionMismatch")
    # What the service answers to the six requests of somebody who may do everything.
    ALLOWED: tuple[Scripted, ...] = (
        (200, {}, ""),
        messages(),
        refused(400, "InvalidQueryParameterValue"),
        refused(404, "MessageNotFound"),
        refused(400, "OutOfRangeQueryParameterValue"),
        refused(404, "MessageNotFound"),
    )

    def test_who_may_do_everything_lacks_nothing(self) -> None:
        wire = Wire(*self.ALLOWED)
        assert queue_on(wire).missing_actions() == []
        # None of them can change anything: no such message, too large a number, a life shorter than the delay.
        asked = [(method, path.rpartition("/")[2], query) for method, path, query, _ in wire.requests]
        assert [(method, place) for method, place, _ in asked] == [
            ("GET", "updates"),
            ("GET", "messages"),
            ("POST", "messages"),
            ("DELETE", "00000000-0000-0000-0000-000000000000"),
            ("GET", "messages"),
            ("PUT", "00000000-0000-0000-0000-000000000000"),
        ]
        assert asked[1][2]["peekonly"] == "true"
        assert (asked[2][2]["messagettl"], asked[2][2]["visibilitytimeout"]) == ("1", "2")
        assert asked[4][2]["numofmessages"] == "33"

    @pytest.mark.parametrize(
        ("places", "missing"),
        [
            ([0], [storage_actions.READ_QUEUE]),
            ([1], [storage_actions.READ]),
            ([2], [storage_actions.ADD]),
            ([4], [storage_actions.PROCESS]),
            ([5], [storage_actions.WRITE]),
            ([0, 5], [storage_actions.READ_QUEUE, storage_actions.WRITE]),
        ],
    )
    def test_each_action_that_is_missing_is_named(self, places: list[int], missing: list[str]) -> None:
        answers = [self.MISMATCH if place in places else answer for place, answer in enumerate(self.ALLOWED)]
        assert queue_on(Wire(*answers)).missing_actions() == missing

    def test_the_second_request_of_an_action_is_not_made_once_the_first_was_refused(self) -> None:
        answers = [*self.ALLOWED[:3], self.MISMATCH, self.ALLOWED[5]]
        assert queue_on(Wire(*answers)).missing_actions() == [storage_actions.PROCESS]

    @pytest.mark.parametrize(
        "answer",
        [
            refused(403, "AuthorizationFailure"),
            refused(403, "AuthenticationFailed"),
            refused(401, "InvalidAuthenticationInfo"),
            refused(429, "TooManyRequests"),
            refused(503, "ServerBusy"),
            ServiceRequestError("no route"),
        ],
    )
    def test_what_is_no_matter_of_a_role_is_told_as_it_is(self, answer: Any) -> None:
        with pytest.raises(RemoteError):
            queue_on(Wire(answer)).missing_actions()

    def test_an_operation_that_is_refused_names_what_is_missing(self) -> None:
        queue, leased = received(Wire(self.MISMATCH))
        with pytest.raises(RemoteError) as caught:
            queue.reschedule(leased, "text", 0)
        assert caught.value.message == f"the role lacks {storage_actions.explained(storage_actions.WRITE)}: why"
        assert not leased.settled


class TestOpening:
    def settings(self, **storage: str) -> WorkerSettings:
        return read_settings(WorkerSettings, WORKER | storage)

    def test_the_queue_and_its_poison_queue_are_opened_by_a_connection_string(self) -> None:
        settings = self.settings(AZURE_STORAGE_CONNECTION_STRING=CONNECTION, ACI_HOOKS_QUEUE="mine")
        updates, poison = open_queues(settings)
        assert (updates.name, poison.name) == ("mine", "mine-poison")
        assert updates._client.url == "https://acme.queue.core.windows.net/mine"

    def test_or_by_the_name_of_the_account_in_its_cloud(self) -> None:
        settings = self.settings(AZURE_STORAGE_ACCOUNT="acme7", AZURE_CLOUD="AzureChinaCloud")
        updates, poison = open_queues(settings)
        assert updates._client.url == "https://acme7.queue.core.chinacloudapi.cn/aci-hooks-updates"
        assert poison._client.url == "https://acme7.queue.core.chinacloudapi.cn/aci-hooks-updates-poison"

    def test_the_sdk_itself_tries_nothing_again_and_waits_as_long_as_it_is_told(self) -> None:
        # Layers of retries multiply: a settlement would take minutes, instead of being left to the next delivery.
        updates, _ = open_queues(self.settings(AZURE_STORAGE_CONNECTION_STRING=CONNECTION), timeouts=(1, 2))
        config: Any = updates._client._config
        assert config.retry_policy.total_retries == 0
        assert config.transport.connection_config.timeout == 1
        assert config.transport.connection_config.read_timeout == 2

    def test_a_receive_leases_for_the_visibility_timeout_that_was_asked_for(self) -> None:
        updates, poison = open_queues(self.settings(AZURE_STORAGE_ACCOUNT="acme7"), visibility_timeout=77)
        assert [queue._visibility_timeout for queue in (updates, poison)] == [77, 77]
