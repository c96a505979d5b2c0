"""What each operation of Azure Storage needs of a role, and what the worker needs it for. Pure.

Microsoft's table: learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory. It holds
surprises: the built-in roles Storage Queue Data Message Processor and Message Sender can neither renew a lease, nor
count messages.
"""

from __future__ import annotations

from shared.errors import RemoteError

_QUEUES = "Microsoft.Storage/storageAccounts/queueServices/queues"
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"

READ = f"{_QUEUES}/messages/read"
ADD = f"{_QUEUES}/messages/add/action"
PROCESS = f"{_QUEUES}/messages/process/action"
WRITE = f"{_QUEUES}/messages/write"
READ_QUEUE = f"{_QUEUES}/read"
WRITE_QUEUE = f"{_QUEUES}/write"
READ_BLOB = f"{_BLOBS}/read"
WRITE_BLOB = f"{_BLOBS}/write"

_NEEDED_FOR = {
    READ: "Peek Messages: looking for a dead letter that is there already",
    ADD: "Put Message: sending",
    PROCESS: "Get Messages and Delete Message: receiving and settling",
    WRITE: "Update Message: renewing leases and rescheduling",
    READ_QUEUE: "Get Queue Metadata: counting, readiness",
    WRITE_QUEUE: "Create Queue: only where the queue does not exist yet",
    READ_BLOB: "Get Blob and List Blobs: reading records",
    WRITE_BLOB: "Put Blob: writing records",
}
# A wrong key or a firewall answers 403 as well, and then no role is at fault.
_NO_ROLE = frozenset({"AuthenticationFailed", "AuthorizationFailure"})


def lacks_role(error: RemoteError) -> bool:
    """Was it refused because the role does not allow it?"""
    return error.status == 403 and error.code not in _NO_ROLE


def explained(action: str) -> str:
    """An action, and what it is needed for."""
    return f"{action} ({_NEEDED_FOR[action]})"


def told(error: RemoteError, action: str) -> RemoteError:
    """The same error, which names the missing action if it is for want of one."""
    if not lacks_role(error):
        return error
    why = f"the role lacks {explained(action)}: {error.message}"
    return RemoteError(error.service, error.status, error.code, why, error.retry_after)
