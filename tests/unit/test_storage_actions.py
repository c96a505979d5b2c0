"""What a role lacks is told by name."""

from __future__ import annotations

import pytest

from shared.errors import RemoteError
from shared.storage_actions import WRITE, explained, lacks_role, told


@pytest.mark.parametrize(
    ("status", "code", "lacks"),
    [
        (403, "AuthorizationPermissionMismatch", True),
        (403, "InsufficientAccountPermissions", True),
        (403, "AuthenticationFailed", False),
        (403, "AuthorizationFailure", False),
        (404, "MessageNotFound", False),
        (None, "Unreachable", False),
    ],
)
def test_an_action_that_is_missing_is_named(status: int | None, code: str, *, lacks: bool) -> None:
    error = RemoteError("queue", status, code, "not authorized", 7)
    assert lacks_role(error) is lacks
    same = told(error, WRITE)
    assert (same.service, same.status, same.code, same.retry_after) == ("queue", status, code, 7)
    assert (same is error) is not lacks
    assert same.message == (f"the role lacks {explained(WRITE)}: not authorized" if lacks else "not authorized")


def test_an_action_says_what_it_is_for() -> None:
    assert explained(WRITE) == (
        "Microsoft.Storage/storageAccounts/queueServices/queues/messages/write "
        "(Update Message: renewing leases and rescheduling)"
    )
