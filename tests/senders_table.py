"""Every sender against every kind of request, with its answer: `python -m tests.senders_table` prints the table."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from flask.testing import FlaskClient

from shared.settings import SENDERS
from tests.ingress_harness import (
    OLD_SECRET,
    OLD_TOKEN,
    SECRET,
    TOKEN,
    Headers,
    KeyIssuer,
    Proof,
    RecordingQueue,
    bearer,
    client_for,
    key_server,
    ways,
)
from tests.samples import Sample, load

NOT_THERE = "-"
"""The sender has no such thing: Docker Hub never sends several tags, and a plain token does not sign the body."""

IGNORABLE = {
    "dockerhub": "chart",
    "acr": "delete",
    "ghcr": "ping",
    "quay": "build",
    "harbor": "deleted",
    "distribution": "pull",
    "gitlab": "pull",
    "artifactory": "deleted",
    "nexus": "deleted",
    "gcr": "deleted",
    "ecr": "deleted",
    "generic": "signature",
}
SEVERAL_TAGS = {
    "acr": "event-grid-several",
    "quay": "several-tags",
    "harbor": "several-tags",
    "distribution": "mixed-envelope",
    "gitlab": "mixed-envelope",
}
NO_TAG = {
    "dockerhub": "no-tag",
    "acr": "untagged",
    "ghcr": "untagged",
    "quay": "no-tags",
    "harbor": "untagged",
    "distribution": "untagged",
    "gitlab": "untagged",
    "artifactory": "no-tag",
    "nexus": "no-tag",
    "gcr": "untagged",
    "ecr": "untagged",
    "generic": "no-tag",
}


@dataclass(frozen=True)
class Row:
    """One sender's answers: a status, and how many pushes were enqueued. `proved` is by way of authentication."""

    sender: str
    proved: Mapping[str, str]
    bad_secret: str
    no_secret: str
    tampered: str
    ignorable: str
    several_tags: str
    no_tag: str
    malformed: str


def rows() -> list[Row]:
    """The whole table, from the real application over a queue in memory."""
    with key_server() as issuer:
        queue = RecordingQueue()
        client = client_for(queue, jwks_url=issuer.url)
        return [_row(sender, _Asker(client, queue), issuer) for sender in SENDERS]


class _Asker:
    def __init__(self, client: FlaskClient, queue: RecordingQueue) -> None:
        self._client = client
        self._queue = queue

    def __call__(
        self, sample: Sample, proof: Headers | None = None, token: str | None = None, body: bytes | None = None
    ) -> str:
        path = f"/webhooks/{sample.sender}" + (f"/{token}" if token else "")
        before = len(self._queue.sent)
        answer = self._client.post(path, data=body or sample.body, headers={**sample.headers, **(proof or {})})
        enqueued = len(self._queue.sent) - before
        return f"{answer.status_code} x{enqueued}" if enqueued else str(answer.status_code)


def _row(sender: str, ask: _Asker, issuer: KeyIssuer) -> Row:
    push = load(sender, "push")
    proofs = _proofs(sender, issuer)
    wrong = {**ways(sender, "a-wrong-secret-for-this"), "bearer": bearer("a-wrong-token-for-this")}
    if sender == "gcr":
        wrong["OIDC"] = bearer(issuer.token(email="somebody@else.test"))
    several = SEVERAL_TAGS.get(sender)
    return Row(
        sender,
        proved={
            "URL": _one([ask(push, token=TOKEN), ask(push, token=OLD_TOKEN)]),
            **{name: _one([ask(push, proof(push.body)) for proof in both]) for name, both in proofs.items()},
        },
        bad_secret=_one([ask(push, token="a-wrong-token"), *(ask(push, proof(push.body)) for proof in wrong.values())]),
        no_secret=ask(push),
        tampered=_tampered(push, ask),
        ignorable=ask(load(sender, IGNORABLE[sender]), token=TOKEN),
        several_tags=ask(load(sender, several), token=TOKEN) if several else NOT_THERE,
        no_tag=ask(load(sender, NO_TAG[sender]), token=TOKEN),
        malformed=_one([ask(load(sender, "malformed"), token=TOKEN), ask(push, token=TOKEN, body=push.body[:-9])]),
    )


def _proofs(sender: str, issuer: KeyIssuer) -> dict[str, list[Proof]]:
    """Each way with the secret of today and the one before it."""
    old, new = ways(sender, OLD_SECRET), ways(sender, SECRET)
    proofs = {"bearer": [bearer(OLD_TOKEN), bearer(TOKEN)], **{name: [old[name], new[name]] for name in new}}
    if sender == "gcr":
        proofs["OIDC"] = [bearer(issuer.token())]
    return proofs


def _tampered(push: Sample, ask: _Asker) -> str:
    signatures = [proof for name, proof in ways(push.sender, SECRET).items() if name.startswith("HMAC")]
    changed = push.body.replace(b"v2", b"v3")
    return _one([ask(push, sign(push.body), body=changed) for sign in signatures]) if signatures else NOT_THERE


def _one(answers: list[str]) -> str:
    return "/".join(dict.fromkeys(answers))


def as_text(table: list[Row]) -> str:
    """The table in Markdown, as the documentation shows it."""
    head = ["sender", "good push, by way", "bad secret", "no secret", "tampered", "ignorable", "several tags"]
    lines = [[*head, "no tag", "malformed"]]
    for row in table:
        proved = ", ".join(f"{name} {answer}" for name, answer in row.proved.items())
        cells = [row.sender, proved, row.bad_secret, row.no_secret, row.tampered, row.ignorable, row.several_tags]
        lines.append([*cells, row.no_tag, row.malformed])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=sys.stderr))
    structlog.configure(processors=[lambda *_: (_ for _ in ()).throw(structlog.DropEvent)])
    print(as_text(rows()))
