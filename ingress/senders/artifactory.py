"""JFrog Artifactory: one manifest a delivery, named by its path in a repository of Artifactory's.

jfrog.com/help/r/jfrog-platform-administration-documentation/event-types. The path ends in `<tag>/manifest.json`, or in
`<tag>/list.manifest.json` for an image of several platforms. No time is sent.
"""

from __future__ import annotations

from ingress.authentication import Bearer, FixedHeader, Hmac
from ingress.delivery import Delivery, Ignored, Outcome
from ingress.payload import Node, read_json
from ingress.pushes import host_of, is_chart, push_of_tag, settled

# One header in two forms: the secret itself, or with "use secret for payload signing" the body's HMAC.
ACCEPTS = (FixedHeader("X-JFrog-Event-Auth"), Hmac("X-JFrog-Event-Auth", "sha256"), Bearer())

_MANIFESTS = frozenset({"manifest.json", "list.manifest.json"})


def parse(delivery: Delivery) -> Outcome:
    """The push of `data.tag` to the repository that `data.path` is in."""
    body = read_json(delivery.body)
    domain, kind = body["domain"].text(), body["event_type"].text()
    if domain != "docker" or kind != "pushed":
        return Ignored(f"event {domain[:40]!r} {kind[:40]!r} is not an image push")
    data = body["data"]
    name = data["name"].optional_text()
    if name is not None and name not in _MANIFESTS:
        return Ignored(f"file {name[:80]!r} is not a manifest")
    if is_chart(data["image_type"].label()):
        return Ignored("a Helm chart")
    sha256 = data["sha256"].optional_text()
    push = push_of_tag(
        delivery.sender,
        host_of(body["jpd_origin"].text()),
        f"{data['repo_key'].text()}/{_image(data)}",
        data["tag"].optional_text(),
        digest=sha256 and f"sha256:{sha256.removeprefix('sha256:')}",
    )
    return settled([push])


def _image(data: Node) -> str:
    """The image's name: what `path` has before `<tag>/manifest.json`, else `image_name`."""
    path = data["path"].optional_text() or ""
    folders = path.split("/")[:-2]
    return "/".join(folders) or data["image_name"].text()
