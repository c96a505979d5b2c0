"""GitLab's self-managed container registry: a fork of CNCF Distribution, with the same envelopes and the same retries.

docs.gitlab.com/administration/packages/container_registry/#configure-container-registry-notifications. GitLab.com has
no such webhook.
"""

from __future__ import annotations

from ingress.senders.distribution import ACCEPTS, parse

__all__ = ["ACCEPTS", "parse"]
