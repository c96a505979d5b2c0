"""What the ingress's tests share: its settings, a queue that records, every way to authenticate, and a key server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from flask.testing import FlaskClient

from ingress.app import create_app
from ingress.authentication import Oidc
from ingress.outbox import Outbox
from ingress.receivers import Limits
from ingress.senders import Sender, all_senders
from shared.environment import read_settings
from shared.errors import RemoteError
from shared.message import UpdateMessage, decode
from shared.settings import IngressSettings
from tests import stub_server

TOKEN = "token-of-every-sender"
OLD_TOKEN = "an-older-token-0123"
SECRET = "the-secret-of-one-sender"
OLD_SECRET = "its-secret-before-that"
AUDIENCE = "https://hooks.example.test"
EMAIL = "pusher@acme.iam.gserviceaccount.test"
ISSUER = "https://accounts.example.test"
NEXUS_REGISTRY = "nexus.example.test:8083"
ARTIFACTORY_REGISTRY = "docker-old=acme.jfrog.test/docker"

WITH_SECRET = ("acr", "ghcr", "harbor", "distribution", "gitlab", "artifactory", "nexus", "ecr", "generic")
"""The senders that have secrets of their own."""

Headers = dict[str, str]
Proof = Callable[[bytes], Headers]
"""The headers that prove that a body is from its sender."""


def environment(jwks_url: str = "http://127.0.0.1:9/keys", **more: str) -> dict[str, str]:
    """The environment of an ingress that knows every sender."""
    return {
        "AZURE_STORAGE_CONNECTION_STRING": "UseDevelopmentStorage=true",
        "ACI_HOOKS_WEBHOOK_TOKENS": f"{OLD_TOKEN},{TOKEN}",
        "ACI_HOOKS_NEXUS_REGISTRY": NEXUS_REGISTRY,
        "ACI_HOOKS_ARTIFACTORY_REGISTRY": ARTIFACTORY_REGISTRY,
        "ACI_HOOKS_GCR_AUDIENCE": AUDIENCE,
        "ACI_HOOKS_GCR_EMAIL": EMAIL,
        "ACI_HOOKS_GCR_ISSUER": ISSUER,
        "ACI_HOOKS_GCR_JWKS_URL": jwks_url,
        **{f"ACI_HOOKS_SECRET_{sender.upper()}": f"{OLD_SECRET},{SECRET}" for sender in WITH_SECRET},
        **more,
    }


def parsers(nexus: str = NEXUS_REGISTRY, artifactory: str = ARTIFACTORY_REGISTRY) -> dict[str, Sender]:
    """Every sender, as that environment configures it."""
    settings = read_settings(
        IngressSettings, environment(ACI_HOOKS_NEXUS_REGISTRY=nexus, ACI_HOOKS_ARTIFACTORY_REGISTRY=artifactory)
    )
    return all_senders(Oidc((), (), (), lambda _: None), settings.nexus_registry, settings.artifactory_registry)


class RecordingQueue:
    """A queue in memory; while `failure` is set, every call raises it."""

    def __init__(self) -> None:
        self.sent: list[UpdateMessage] = []
        self.failure: RemoteError | None = None

    def send(self, text: str) -> None:
        if self.failure:
            raise self.failure
        message = decode(text)
        assert isinstance(message, UpdateMessage)
        self.sent.append(message)

    def count(self) -> int:
        if self.failure:
            raise self.failure
        return len(self.sent)


def client_for(queue: Any, **more: str) -> FlaskClient:
    """A client of the real application over `queue`."""
    return limited_client(queue, {}, **more)


def limited_client(queue: Any, limits: Limits, **more: str) -> FlaskClient:
    """A client of the real application with a receivers file of these `limits`."""
    app = create_app(read_settings(IngressSettings, environment(**more)), Outbox(queue), limits=limits)
    return app.test_client()


def bearer(secret: str) -> Proof:
    return lambda _body: {"Authorization": f"Bearer {secret}"}


def fixed(name: str, value: str) -> Proof:
    return lambda _body: {name: value}


def basic(user: str, password: str) -> Proof:
    encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
    return lambda _body: {"Authorization": f"Basic {encoded}"}


def signed(header: str, algorithm: str, secret: str, prefix: str = "") -> Proof:
    def sign(body: bytes) -> Headers:
        return {header: prefix + hmac.new(secret.encode(), body, getattr(hashlib, algorithm)).hexdigest()}

    return sign


def ways(sender: str, secret: str) -> Mapping[str, Proof]:
    """Every way in which `sender` may prove itself with a secret of its own, by a short name; OIDC is not one."""
    hub_signature = {"HMAC-SHA256": signed("X-Hub-Signature-256", "sha256", secret, "sha256=")}
    bearer_or_header = {"own bearer": bearer(secret), "Authorization": fixed("Authorization", secret)}
    return {
        "acr": bearer_or_header,
        "ghcr": hub_signature,
        "harbor": {"Authorization": fixed("Authorization", secret)},
        "distribution": bearer_or_header,
        "gitlab": bearer_or_header,
        "artifactory": {
            "X-JFrog-Event-Auth": fixed("X-JFrog-Event-Auth", secret),
            "HMAC-SHA256": signed("X-JFrog-Event-Auth", "sha256", secret),
            "own bearer": bearer(secret),
        },
        "nexus": {"HMAC-SHA1": signed("X-Nexus-Webhook-Signature", "sha1", secret)},
        "ecr": {"X-Api-Key": fixed("X-Api-Key", secret), "Basic": basic("aws", secret)},
        "generic": hub_signature,
    }.get(sender, {})


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class KeyIssuer:
    """An OpenID Connect issuer: a key, tokens signed with it, and the JWKS document to serve."""

    def __init__(self, key_id: str = "first") -> None:
        self.key_id = key_id
        self.key = _key()
        self.url = ""
        self.fetches = 0
        self.answer: tuple[int, bytes] | None = None

    def document(self) -> bytes:
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return json.dumps({"keys": [{**key, "kid": self.key_id, "use": "sig", "alg": "RS256"}]}).encode()

    def token(self, key: Any = None, algorithm: str = "RS256", key_id: str | None = None, **claims: Any) -> str:
        """A token of the expected service account; a claim given as None is left out."""
        now = int(time.time())
        whole = {"iss": ISSUER, "aud": AUDIENCE, "email": EMAIL, "email_verified": True, "iat": now, "exp": now + 600}
        kept = {name: value for name, value in {**whole, **claims}.items() if value is not None}
        return jwt.encode(kept, key or self.key, algorithm=algorithm, headers={"kid": key_id or self.key_id})


@contextmanager
def key_server() -> Iterator[KeyIssuer]:
    """A KeyIssuer whose document is served over HTTP at its `url`; `answer` replaces it."""
    issuer = KeyIssuer()

    def answer(method: str, path: str, headers: stub_server.Headers) -> stub_server.Answer:
        issuer.fetches += 1
        status, body = issuer.answer or (200, issuer.document())
        return status, {}, body

    with stub_server.StubServer(answer) as server:
        issuer.url = f"{server.url}/keys"
        yield issuer
