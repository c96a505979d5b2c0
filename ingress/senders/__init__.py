"""The senders: how each one's deliveries are parsed, and which authentication it uses besides the common tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ingress.authentication import Oidc, Scheme
from ingress.delivery import Delivery, Parsed
from ingress.senders import (
    acr,
    artifactory,
    distribution,
    dockerhub,
    ecr,
    gcr,
    generic,
    ghcr,
    gitlab,
    harbor,
    nexus,
    quay,
)
from shared.registry_hosts import RegistryHosts


@dataclass(frozen=True, slots=True)
class Sender:
    """`parse` is pure, and raises Malformed; `accepts` are the schemes for the secrets of only this sender."""

    parse: Callable[[Delivery], Parsed]
    accepts: tuple[Scheme, ...] = ()


def all_senders(
    oidc: Oidc,
    nexus_registry: RegistryHosts = (),
    artifactory_registry: RegistryHosts = (),
) -> dict[str, Sender]:
    """Every sender by its name in the webhook's path.

    `oidc` says who may sign Pub/Sub's tokens; the others say where images of these two servers are pulled from.
    """
    return {
        "dockerhub": Sender(dockerhub.parse),
        "acr": Sender(acr.parse, acr.ACCEPTS),
        "ghcr": Sender(ghcr.parse, ghcr.ACCEPTS),
        "quay": Sender(quay.parse),
        "harbor": Sender(harbor.parse, harbor.ACCEPTS),
        "distribution": Sender(distribution.parse, distribution.ACCEPTS),
        "gitlab": Sender(gitlab.parse, gitlab.ACCEPTS),
        "artifactory": Sender(
            partial(artifactory.parse, hosts=artifactory_registry), artifactory.ACCEPTS
        ),
        "nexus": Sender(partial(nexus.parse, hosts=nexus_registry), nexus.ACCEPTS),
        "gcr": Sender(gcr.parse, (oidc,)),
        "ecr": Sender(ecr.parse, ecr.ACCEPTS),
        "generic": Sender(generic.parse, generic.ACCEPTS),
    }
