"""The receiver that the settings describe: the senders that are served, and what may prove a delivery of each."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from ingress.authentication import Oidc
from ingress.authority import Authority, LimitedSecrets, authorities_of
from ingress.keys import KeyServer
from ingress.metrics import Metrics
from ingress.outbox import Outbox
from ingress.receiver import Receiver
from ingress.receivers import Limits
from ingress.senders import Sender, all_senders
from shared.settings import SENDERS_WITHOUT_SECRETS, IngressSettings

_log = structlog.get_logger()


def receiver_of(
    settings: IngressSettings,
    outbox: Outbox,
    keys: KeyServer | None = None,
    limits: Limits | None = None,
) -> Receiver:
    """The receiver, put together from values; it reads no environment. `limits` are those of the receivers file."""
    _warn_of_unused_secrets(settings)
    oidc = Oidc(
        issuers=settings.gcr_issuer,
        audiences=settings.gcr_audience,
        emails=settings.gcr_email,
        find_key=(keys or KeyServer(settings.gcr_jwks_url)).find,
    )
    known = all_senders(oidc, settings.nexus_registry, settings.artifactory_registry)
    senders = {name: known[name] for name in settings.senders}
    authorities = {
        name: _authorities(name, sender, settings, (limits or {}).get(name, ()))
        for name, sender in senders.items()
    }
    return Receiver(
        senders=senders,
        authorities=authorities,
        outbox=outbox,
        metrics=Metrics(senders),
    )


def _authorities(
    name: str,
    sender: Sender,
    settings: IngressSettings,
    limited: Sequence[LimitedSecrets],
) -> tuple[Authority, ...]:
    """Everything that may prove a delivery of this sender."""
    tokens = [token.get_secret_value().encode() for token in settings.webhook_tokens]
    keys = [
        secret.get_secret_value().encode()
        for secret in settings.sender_secrets.get(name, ())
    ]
    return authorities_of(sender.accepts, tokens, keys, limited)


def _warn_of_unused_secrets(settings: IngressSettings) -> None:
    # Whoever set such a secret believes that the sender's deliveries are checked by it.
    for name in sorted(settings.sender_secrets.keys() & SENDERS_WITHOUT_SECRETS):
        _log.warning(
            "unused setting",
            sender=name,
            detail="this sender has no secret of its own; use a token",
        )
