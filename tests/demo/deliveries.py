"""What a registry sends when a tag is pushed: the samples of the ingress's tests, with another tag, time and digest."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.ingress_harness import EMAIL, SECRET, TOKEN, KeyIssuer, ways
from tests.samples import load

_SAMPLED_DIGEST = "1" * 64
_SAMPLED_TIME = datetime(2025, 12, 10, 10, 24, 5, tzinfo=UTC)
_SAMPLED_TAG = re.compile(r"^v2$|(?<=:)v2$|(?<=/)v2(?=/(?:list\.)?manifest\.json$)")


@dataclass(frozen=True)
class Webhook:
    """A request to POST to the ingress; `proof` says in words how it proves where it comes from."""

    path: str
    headers: dict[str, str]
    body: bytes
    proof: str


class Registry:
    """One sender with its repository. `issuer` signs the tokens of a sender that uses OpenID Connect."""

    def __init__(self, sender: str, issuer: KeyIssuer) -> None:
        self.sender = sender
        self._issuer = issuer
        self._sample = load(sender, "push")

    def image(self, tag: str) -> str:
        """The repository with a tag, as people write it in a container group."""
        name = str(self._sample.expected["pushes"][0]["image"]).removeprefix("docker.io/")
        return f"{name.removesuffix(':v2')}:{tag}"

    def digest(self, tag: str) -> str:
        """The digest that the sender gives for a tag, if it gives any."""
        return f"sha256:{hashlib.sha256(self.image(tag).encode()).hexdigest()}"

    def webhook(self, tag: str) -> Webhook:
        """The push of a tag, now."""
        rewriting = _Rewriting(tag, self.digest(tag).removeprefix("sha256:"), datetime.now(UTC))
        document = rewriting.apply(json.loads(self._sample.body))
        if self.sender == "gcr":
            inner = rewriting.apply(json.loads(base64.b64decode(document["message"]["data"])))
            document["message"]["data"] = base64.b64encode(json.dumps(inner).encode()).decode()
        body = json.dumps(document).encode()
        headers = {
            name: str(uuid.uuid4()) if name.endswith("-Delivery") else value
            for name, value in self._sample.headers.items()
        }
        path = f"/webhooks/{self.sender}"
        if self.sender == "gcr":
            return Webhook(
                path, {**headers, "Authorization": f"Bearer {self._issuer.token()}"}, body, f"token signed for {EMAIL}"
            )
        for name, proof in ways(self.sender, SECRET).items():
            return Webhook(path, {**headers, **proof(body)}, body, name)
        return Webhook(f"{path}/{TOKEN}", headers, body, "token in the URL")


@dataclass(frozen=True)
class _Rewriting:
    """The sample's tag, digest and time, wherever they stand, become these."""

    tag: str
    digest: str
    time: datetime

    def apply(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.apply(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.apply(item) for item in value]
        if isinstance(value, str):
            return self._text(value)
        return int(self.time.timestamp()) if value == int(_SAMPLED_TIME.timestamp()) else value

    def _text(self, text: str) -> str:
        text = text.replace(f"{_SAMPLED_TIME:%Y-%m-%dT%H:%M:%S}", f"{self.time:%Y-%m-%dT%H:%M:%S}")
        return _SAMPLED_TAG.sub(self.tag, text.replace(_SAMPLED_DIGEST, self.digest))
