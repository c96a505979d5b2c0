"""What to do about a dead letter, by its code. Pure. docs/operations.md has tables that say what each means."""

from __future__ import annotations

_GOOD_IMAGE = "push a good image; `redrive` tries this one again"
_ROLES = "assign the worker the missing role (README, Azure roles), then redrive"
_WAIT = "wait until it is over, then redrive"
_DEFINITION = "correct what the detail names in the group's definition or in the targets file, then redrive"
_TARGETS = "if the group is gone for good, correct the targets file or the resource tags, then purge"

ADVICE = {
    "CrashLoop": _GOOD_IMAGE,
    "ContainerFailed": _GOOD_IMAGE,
    "ContainerStartFailed": "read the detail: the image was pulled, and its container can't be started; then redrive",
    "ImagePullFailed": _GOOD_IMAGE,
    "ProvisioningFailed": "read the detail and the group's events in the portal, then redrive",
    "RolloutTimeout": "push a good image, or allow more time (ACI_HOOKS_ROLLOUT_TIMEOUT) and redrive",
    "NoEffect": "read the group's activity log in the portal, then redrive",
    "InaccessibleImage": "correct the group's credentials for the registry, then redrive",
    "InvalidContainerGroupUpdate": _DEFINITION,
    "InvalidRequestContent": _DEFINITION,
    "InvalidEnvironmentVariable": _DEFINITION,
    "InvalidImageRegistryPassword": "correct the secret that the detail names, then redrive",
    "InvalidStorageAccountKey": "correct the secret that the detail names, then redrive",
    "Unreachable": _WAIT,
    "BadGateway": _WAIT,
    "ServiceUnavailable": _WAIT,
    "InternalServerError": _WAIT,
    "ServerTimeout": _WAIT,
    "TooManyRequests": "update fewer groups at a time, then redrive",
    "SubscriptionRequestsThrottled": "update fewer groups at a time, then redrive",
    "OperationNotAllowedThrottled": "update fewer groups at a time, then redrive",
    "ContainerGroupTransitioning": "find out who else changes the group, then redrive",
    "ContainerGroupQuotaReached": "ask Azure for a higher quota, then redrive",
    "AuthenticationFailed": _ROLES,
    "AuthorizationFailure": _ROLES,
    "AuthorizationPermissionMismatch": _ROLES,
    "AuthorizationFailed": _ROLES,
    "LinkedAuthorizationFailed": "assign the worker its role on the subnet or the identity (README), then redrive",
    "CredentialUnavailable": "give the worker an identity: a managed one, or AZURE_CLIENT_ID and its secret; redrive",
    "Unauthorized": "correct the worker's credentials for the registry or for Azure, then redrive",
    "RegistryErrorResponse": _WAIT,
    "Conflict": "redrive",
    "UnreadableRecord": "restore or delete the record's blob (docs/operations.md, Records), then redrive",
    "SecretUnavailable": "make the source of the secret readable (`check` names it), then redrive",
    "WorkerCrash": "look at the workers' log and memory, then redrive",
    "StuckInTransition": "wait for Azure, or stop the group, then redrive",
    "ManifestUnknown": "push the image to its registry, then redrive",
    "MissingSecrets": "configure each secret that the detail names under `secrets` in the targets file, then redrive",
    "ResourceNotFound": _TARGETS,
    "ResourceGroupNotFound": _TARGETS,
    "NotOurs": "take the group out of the targets (the detail says why), then purge",
    "RequestDisallowedByPolicy": "ask whoever owns the Azure policy that the detail names, then redrive",
    "TargetRemoved": "see what runs on the group (`status`), then purge",
    "Undecodable": "look at it with `show`, find out who sent it, and purge it",
}

AFTER_ADDRESS_CHANGE = (
    "update DNS records, firewall rules and all clients that use the old address"
)
"""What to do where a group's address has changed."""


def what_to_do(code: str) -> str:
    """What to do about a dead letter with this code."""
    return ADVICE.get(code, "correct what the detail says, then redrive; or purge it")
