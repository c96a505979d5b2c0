"""What a worker's role allows on a queue, found out by requests that change nothing."""

from __future__ import annotations

from collections.abc import Callable

from azure.storage.queue import QueueClient

from shared import storage_actions
from shared.azure_errors import translated
from shared.errors import RemoteError

_NO_MESSAGE = "00000000-0000-0000-0000-000000000000"
_NO_RECEIPT = "AgAAAAMAAAAAAAAAAAAAAAAAAAA="


def missing_actions(client: QueueClient, most: int) -> list[str]:
    """What a worker's role must allow and this one does not. Raises RemoteError if the queue can't be asked.

    `most` is how many messages one call can receive. A role is asked about first: only then is it found that the
    message does not exist, or that no queue takes so large a number.
    """
    tries = _tries(client, most)
    return [
        action
        for action, requests in tries.items()
        if not all(map(_is_allowed, requests))
    ]


def _tries(client: QueueClient, most: int) -> dict[str, list[Callable[[], object]]]:
    """For each action, the requests that need it and that change nothing, whatever the role allows."""

    def send_with_impossible_times() -> object:
        return client.send_message("", visibility_timeout=2, time_to_live=1)

    def delete_no_message() -> object:
        return client.delete_message(_NO_MESSAGE, _NO_RECEIPT)

    def receive_too_many() -> object:
        pages = client.receive_messages(messages_per_page=most + 1).by_page()
        return list(next(pages, ()))

    def update_no_message() -> object:
        return client.update_message(_NO_MESSAGE, _NO_RECEIPT, visibility_timeout=0)

    return {
        storage_actions.READ_QUEUE: [client.get_queue_properties],
        storage_actions.READ: [client.peek_messages],
        storage_actions.ADD: [send_with_impossible_times],
        # Both are tried, because a role with `messages/delete` alone may delete messages and can't receive any.
        storage_actions.PROCESS: [delete_no_message, receive_too_many],
        storage_actions.WRITE: [update_no_message],
    }


def _is_allowed(request: Callable[[], object]) -> bool:
    try:
        with translated("queue"):
            request()
    except RemoteError as error:
        if not _says_something_of_the_role(error.status):
            raise
        is_role_missing = storage_actions.lacks_role(error)
        # Some 403 are about a firewall or the account, and a role would not help.
        if error.status == 403 and not is_role_missing:
            raise
        return not is_role_missing
    return True


def _says_something_of_the_role(status: int | None) -> bool:
    """Whether the answer tells of the role, and not of an outage, a limit or a rejected credential."""
    return status is not None and status < 500 and status not in {401, 429}
