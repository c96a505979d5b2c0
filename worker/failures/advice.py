"""What to do about a dead letter, by its code. Pure. docs/operations.md has tables that say what each means."""

from __future__ import annotations

_GOOD_IMAGE = "push a good image; `redrive` tries this one again"
_ROLES = "give the worker the role that is missing (README, Azure roles), then redrive"
_WAIT = "wait until it is over, then redrive"
_DEFINITION = "mend what the detail names in the group's definition or in the targets file, then redrive"
_TARGETS = "mend the targets file or the resource tags, if the group is gone for good; then purge"

ADVICE = {
    "CrashLoop": _GOOD_IMAGE,
    "ContainerFailed": _GOOD_IMAGE,
    "ContainerStartFailed": "read the detail: the image was pulled, and its container can't be started; then redrive",
    "ImagePullFailed": _GOOD_IMAGE,
    "ProvisioningFailed": "read the detail and the group's events in the portal, then redrive",
    "RolloutTimeout": "push a good image, or allow more time (ACI_HOOKS_ROLLOUT_TIMEOUT) and redrive",
    "NoEffect": "read the group's activity log in the portal, then redrive",
    "InaccessibleImage": "mend the registry's credentials of the group, then redrive",
    "InvalidContainerGroupUpdate": _DEFINITION,
    "InvalidRequestContent": _DEFINITION,
    "InvalidEnvironmentVariable": _DEFINITION,
    "InvalidImageRegistryPassword": "mend the secret that the detail names, then redrive",
    "InvalidStorageAccountKey": "mend the secret that the detail names, then redrive",
    "Unreachable": _WAIT,
    "BadGateway": _WAIT,
    "ServiceUnavailable": _WAIT,
    "InternalServerError": _WAIT,
    "ServerTimeout": _WAIT,
    "TooManyRequests": "update less at a time, then redrive",
    "SubscriptionRequestsThrottled": "update less at a time, then redrive",
    "OperationNotAllowedThrottled": "update less at a time, then redrive",
    "ContainerGroupTransitioning": "find out who else changes the group, then redrive",
    "ContainerGroupQuotaReached": "ask Azure for a higher quota, then redrive",
    "AuthenticationFailed": _ROLES,
    "AuthorizationFailure": _ROLES,
    "AuthorizationPermissionMismatch": _ROLES,
    "AuthorizationFailed": _ROLES,
    "LinkedAuthorizationFailed": "give the worker its role on the subnet or the identity (README), then redrive",
    "CredentialUnavailable": "give the worker an identity: a managed one, or AZURE_CLIENT_ID and its secret; redrive",
    "Unauthorized": "mend the worker's credentials of the registry or of Azure, then redrive",
    "RegistryErrorResponse": _WAIT,
    "Conflict": "redrive",
    "UnreadableRecord": "mend or delete the record's blob (docs/operations.md, Records), then redrive",
    "SecretUnavailable": "make the source of the secret readable (`check` tells), then redrive",
    "WorkerCrash": "look at the workers' log and memory, then redrive",
    "StuckInTransition": "wait for Azure, or stop the group, then redrive",
    "ManifestUnknown": "push the image to its registry, then redrive",
    "MissingSecrets": "configure each secret that the detail names under `secrets` in the targets file, then redrive",
    "ResourceNotFound": _TARGETS,
    "ResourceGroupNotFound": _TARGETS,
    "NotOurs": "take the group out of the targets (it says why), then purge",
    "RequestDisallowedByPolicy": "ask whoever owns the Azure policy that the detail names, then redrive",
    "TargetRemoved": "see what runs on the group (`status`), then purge",
    "Undecodable": "look at it with `show`, find out who sent it, and purge it",
}

MOVED = (
    "point DNS records, firewalls and everybody who uses the old address at the new one"
)
"""What to do where a group's address has changed."""


def what_to_do(code: str) -> str:
    """What to do about a dead letter with this code."""
    return ADVICE.get(
        code, "see what the detail says, mend it, and redrive; or purge it"
    )
