"""A table of malformed and hostile requests, each with the 4xx that it gets.

What no HTTP client can send (broken framing, folded headers) is in tests/integration/test_ingress.py, on the process.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from tests.ingress_harness import SECRET, TOKEN, basic, signed
from tests.samples import load

HUB = load("dockerhub", "push").body
GHCR = load("ghcr", "push")
EVENT = {"X-GitHub-Event": "package"}
DIGEST = "sha256:" + "1" * 64


@dataclass(frozen=True)
class Hostile:
    """One request; its answer has `status` and a detail that contains `detail`."""

    what: str
    status: int
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    detail: str = ""

    def __str__(self) -> str:
        return self.what


def hub(**changes: object) -> bytes:
    body = {"push_data": {"tag": "v2"}, "repository": {"repo_name": "acme/shop"}}
    return json.dumps({**body, **changes}).encode()


def image(text: object) -> bytes:
    return json.dumps({"image": text}).encode()


def to(sender: str) -> str:
    return f"/webhooks/{sender}/{TOKEN}"


REQUESTS = [
    # Who are you?
    Hostile("no secret", 401, "/webhooks/dockerhub", HUB),
    Hostile("a wrong token", 401, "/webhooks/dockerhub/wrong", HUB),
    Hostile("a token's beginning", 401, f"/webhooks/dockerhub/{TOKEN[:-1]}", HUB),
    Hostile("a token in capitals", 401, f"/webhooks/dockerhub/{TOKEN.upper()}", HUB),
    Hostile("a token with more behind it", 401, f"/webhooks/dockerhub/{TOKEN}/more", HUB),
    Hostile("a token with a NUL", 401, f"/webhooks/dockerhub/{TOKEN}%00", HUB),
    Hostile("a token of bytes that are no UTF-8", 401, "/webhooks/dockerhub/%ff%fe", HUB),
    Hostile("a Host that is no host name", 400, f"/webhooks/dockerhub/{TOKEN}", HUB, {"Host": "."}, "Host header"),
    Hostile("a token in the query", 401, f"/webhooks/dockerhub?token={TOKEN}", HUB),
    Hostile("the token as basic password", 401, "/webhooks/dockerhub", HUB, basic("a", TOKEN)(b"")),
    Hostile("an empty bearer", 401, "/webhooks/dockerhub", HUB, {"Authorization": "Bearer "}),
    Hostile("a bearer of other letters", 401, "/webhooks/dockerhub", HUB, {"Authorization": "Bearer caf\u00e9\u00ff"}),
    Hostile("another sender's secret", 401, "/webhooks/dockerhub", HUB, {"Authorization": f"Bearer {SECRET}"}),
    Hostile("a sender's secret as URL token", 401, f"/webhooks/ghcr/{SECRET}", GHCR.body, EVENT),
    Hostile("an unsigned body", 401, "/webhooks/ghcr", GHCR.body, EVENT),
    Hostile("an empty signature", 401, "/webhooks/ghcr", GHCR.body, {**EVENT, "X-Hub-Signature-256": ""}),
    Hostile("a signature of other letters", 401, "/webhooks/ghcr", GHCR.body, {"X-Hub-Signature-256": "sha256=\u00e9"}),
    Hostile("the secret for a signature", 401, "/webhooks/ghcr", GHCR.body, {"X-Hub-Signature-256": SECRET}),
    Hostile(
        "a signature of another body",
        401,
        "/webhooks/ghcr",
        GHCR.body,
        signed("X-Hub-Signature-256", "sha256", SECRET)(b""),
    ),
    Hostile("two signatures", 401, "/webhooks/ghcr", GHCR.body, {"X-Hub-Signature-256": "sha256=0, sha256=1"}),
    Hostile("basic that is no base64", 401, "/webhooks/ecr", b"{}", {"Authorization": "Basic \u00e9%%"}),
    Hostile("a token that is no JWT", 401, "/webhooks/gcr", b"{}", {"Authorization": "Bearer e30.e30.e30"}),
    Hostile(
        "a JWT of brackets", 401, "/webhooks/gcr", b"{}", {"Authorization": "Bearer " + "W1tb" * 1500 + ".e30.e30"}
    ),
    # Where to?
    Hostile("an unknown sender", 404, f"/webhooks/docker/{TOKEN}", HUB),
    Hostile("a sender in capitals", 404, f"/webhooks/DockerHub/{TOKEN}", HUB),
    Hostile("no sender", 404, "/webhooks", HUB),
    Hostile("a path that climbs", 404, f"/webhooks/../webhooks/dockerhub/{TOKEN}", HUB),
    Hostile("another path", 404, "/admin", HUB),
    # How much?
    Hostile("a body beyond the limit", 413, to("dockerhub"), b" " * 1_048_577),
    Hostile("a body beyond the limit without a secret", 413, "/webhooks/dockerhub", b" " * 1_048_577),
    # Is it JSON?
    Hostile("no body", 400, to("dockerhub"), detail="not JSON"),
    Hostile("half a body", 400, to("dockerhub"), HUB[:40], detail="not JSON"),
    Hostile("two documents", 400, to("dockerhub"), HUB + HUB, detail="not JSON"),
    Hostile("bytes that are no UTF-8", 400, to("dockerhub"), b'{"a": "\xff"}', detail="not UTF-8"),
    Hostile("UTF-16", 400, to("dockerhub"), HUB.decode().encode("utf-16"), detail="not UTF-8"),
    Hostile("compressed", 400, to("dockerhub"), b"\x1f\x8b\x08\x00", {"Content-Encoding": "gzip"}, "not UTF-8"),
    Hostile("a bomb of brackets", 400, to("dockerhub"), b"[" * 500_000, detail="nested too deeply"),
    Hostile("a bomb of objects", 400, to("dockerhub"), b'{"a":' * 100_000, detail="nested too deeply"),
    Hostile("a number of 5000 digits", 400, to("dockerhub"), b'{"a": ' + b"9" * 5000 + b"}", detail="not JSON"),
    Hostile("NaN", 400, to("dockerhub"), b'{"a": NaN}', detail="NaN"),
    Hostile("Infinity", 400, to("dockerhub"), b'{"a": -Infinity}', detail="Infinity"),
    Hostile("a name twice", 400, to("dockerhub"), b'{"push_data": {}, "push_data": {}}', detail="twice"),
    Hostile("a text", 400, to("dockerhub"), b'"push"', detail="the body is not an object"),
    Hostile("null", 400, to("dockerhub"), b"null", detail="missing"),
    Hostile("an array", 400, to("ecr"), b"[]", detail="not an object"),
    # Is it an image?
    Hostile("no tag", 400, to("dockerhub"), hub(push_data={}), detail="push_data.tag is missing"),
    Hostile("an empty tag", 400, to("dockerhub"), hub(push_data={"tag": ""}), detail="push_data.tag is empty"),
    Hostile("a number for a tag", 400, to("dockerhub"), hub(push_data={"tag": 2}), detail="is not a text"),
    Hostile("a tag with a line break", 400, to("dockerhub"), hub(push_data={"tag": "v2\nv3"}), detail="tag"),
    Hostile("a tag with a digest", 400, to("dockerhub"), hub(push_data={"tag": f"v2@{DIGEST}"}), detail="tag"),
    Hostile("a tag of 129 letters", 400, to("dockerhub"), hub(push_data={"tag": "v" * 129}), detail="tag"),
    Hostile("a tag of other digits", 400, to("dockerhub"), hub(push_data={"tag": "\u0661"}), detail="tag"),
    Hostile("a lone surrogate", 400, to("dockerhub"), hub(push_data={"tag": "\ud800"}), detail="not valid Unicode"),
    Hostile(
        "a repository that climbs", 400, to("dockerhub"), hub(repository={"repo_name": "../shop"}), detail="repository"
    ),
    Hostile(
        "a repository with a host", 400, to("dockerhub"), hub(repository={"repo_name": "e.test:5/a"}), detail="repo"
    ),
    Hostile(
        "a repository of 256 letters", 400, to("dockerhub"), hub(repository={"repo_name": "a" * 256}), detail="repo"
    ),
    *(
        Hostile(
            f"{letters} letters that library/ makes too many",
            400,
            to("dockerhub"),
            hub(repository={"repo_name": "a" * letters}),
            detail="repository",
        )
        for letters in (248, 255)
    ),
    Hostile("a URL for an image", 400, to("generic"), image("https://evil.test/a:v1"), detail="image"),
    Hostile("an image with spaces", 400, to("generic"), image("acme/shop :v2"), detail="image"),
    Hostile("a short digest", 400, to("generic"), image("acme/shop:v2@sha256:123"), detail="digest"),
    Hostile("a list of images", 400, to("generic"), image(["acme/shop:v2"]), detail="image is not a text"),
    Hostile("a time without its zone", 400, to("generic"), b'{"image": "a:v2", "pushed_at": "2026-01-01T00:00:00"}'),
    Hostile(
        "a host with a password", 400, to("harbor"), load("harbor", "push").body.replace(b"harbor.ex", b"u:p@h.ex")
    ),
    Hostile(
        "a digest of capitals",
        400,
        to("acr"),
        load("acr", "push").body.replace(DIGEST.encode(), b"sha256:" + b"A" * 64),
    ),
    Hostile("no host", 400, to("acr"), load("acr", "push").body.replace(b"acmereg.azurecr.io", b"")),
    Hostile(
        "an account that is a host", 400, to("ecr"), load("ecr", "push").body.replace(b"123456789012", b"evil.test/")
    ),
    Hostile("a regular form", 400, to("ghcr"), b"a=1", EVENT, "not JSON"),
    Hostile("a form bomb", 400, to("ghcr"), b"payload=&" * 99, EVENT, "not a form"),
    Hostile("no event header", 400, to("ghcr"), GHCR.body, detail="X-GitHub-Event"),
    Hostile("an envelope without events", 400, to("distribution"), b'{"events": null}', detail="events is missing"),
    Hostile("base64 of nothing", 400, to("gcr"), b'{"message": {"data": "="}}', detail="base64"),
    Hostile(
        "a path for a registry", 400, to("artifactory"), load("artifactory", "push").body.replace(b"https://", b"///")
    ),
]
