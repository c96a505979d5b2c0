"""A stand-in for Azure Container Instances behind Azure Resource Manager, for the real SDK to talk to over plain HTTP.

It keeps container groups across requests, runs no timers (every answer is worked out from timestamps when it is asked
for), and has a control surface under `/_simulator` that places groups, breaks images and injects faults.

    with ArmSimulator() as arm:
        arm.client.put_group("sub", "rg", "shop", {"location": "westeurope", "properties": {...}})
        client = ContainerInstanceManagementClient(credential, "sub", arm.url, ...)

Where it isn't known what Azure does, this is what the simulator does. With a switch in `options.Options`:

- An update is answered 201, or 200: `put_status`.
- A PUT replaces the tags, or leaves them alone: `put_changes_tags`.
- A restart pulls a tag that moved, or starts the image at hand: `restart_pulls`.
- A PUT keeps the address of a running group, or not: `keep_ip`.
- A pull that fails after the PUT was accepted leaves a Succeeded group in state Pending whose container waits. To see
  the operation fail, or never end, instead: `fail_operation`, `stuck`.
- A group in transition shows its address, none, or 0.0.0.0: `address_in_transition`.
- Failed pulls name the digest of the platform's manifest, or the image as written: `digests_in_failures`.
- Timestamps of instance views have milliseconds, or another precision: `timestamp_digits`.

By choice, with no switch (any of these statuses and codes can be had through the fault `refuse`):

- An empty `secret` volume in a PUT is accepted, and the secrets are lost; so are protected settings left out.
- A member of an NGroup, a pod of a virtual node and a confidential group take an update like any other; only what was
  made from a profile or a standby pool is refused.
- A log analytics workspace without its key is refused with 400 and a code of the simulator's own; so is a restart of
  a stopped group. A missing storage key and a change that needs a new group are refused with 400 as well.
- A PUT of a group whose containers have all ended, or that was stopped, deploys it as new: at another address, and
  without the events of before. A start keeps the events and takes another address.
- A stopped group shows its last address. A stop during a transition is refused, a delete is not.
- Repeated events are counted in one entry, and entries come shuffled.
- What a rule says about an image counts from the next launch of a container on; running ones stay as they are.
- A stalled request takes effect after the stall.
"""

from .client import SimulatorClient, SimulatorRefusedError
from .server import ArmSimulator

__all__ = ["ArmSimulator", "SimulatorClient", "SimulatorRefusedError"]
