"""JFrog Artifactory: one manifest per delivery, named by its path in an Artifactory repository.

jfrog.com/help/r/jfrog-platform-administration-documentation/event-types. The path ends in `<tag>/manifest.json`, or in
`<tag>/list.manifest.json` for an image of several platforms. No time is sent. The host is that of `jpd_origin`, which a
self-hosted server sends only if its Custom Base URL is set; else it is the user's to configure, as
ACI_HOOKS_ARTIFACTORY_REGISTRY. So is the virtual repository that images are pulled from: a push to it tells the local
one that keeps them.
"""

from __future__ import annotations

from ingress.authentication import Bearer, FixedHeader, Hmac
from ingress.delivery import Delivery, Ignored, Parsed
from ingress.media_types import is_chart
from ingress.payload import Node, read_json
from ingress.pushes import push_of_tag, pushes_or_reason
from shared.registry_hosts import RegistryHost, RegistryHosts, named, unnamed

# One header in two forms: the secret itself, or with "use secret for payload signing" the body's HMAC.
ACCEPTS = (
    FixedHeader("X-JFrog-Event-Auth"),
    Hmac("X-JFrog-Event-Auth", "sha256"),
    Bearer(),
)

_MANIFESTS = frozenset({"manifest.json", "list.manifest.json"})
# The values in the example that the button "Test" sends.
_TEST_CHECKSUM = "sample_checksum"
# JFrog calls this the repository path method: jfrog.com/help/r/jfrog-artifactory-documentation/http-settings
_REPOSITORY_PATH = "{repository}"


def parse(delivery: Delivery, hosts: RegistryHosts = ()) -> Parsed:
    """The push of `data.tag` to the repository that `data.path` is in, at its place among `hosts` or at the origin."""
    body = read_json(delivery.body)
    domain, kind = body["domain"].text(), body["event_type"].text()
    if domain != "docker" or kind != "pushed":
        return Ignored(f"event {domain[:40]!r} {kind[:40]!r} is not an image push")
    data = body["data"]
    if no_image := _why_no_image(data):
        return no_image
    repository = data["repo_key"].text()
    host = _host(hosts, repository, body["jpd_origin"].optional_text())
    if host is None:
        return Ignored(
            f"the body has no jpd_origin, and ACI_HOOKS_ARTIFACTORY_REGISTRY has no entry for {repository[:80]!r}: set "
            "it to the host that images are pulled from, or set Artifactory's Custom Base URL"
        )
    # The vendor's examples have it without a prefix. One that has it would otherwise be doubled, and refused.
    sha256 = data["sha256"].optional_text()
    push = push_of_tag(
        delivery.sender,
        host.host,
        host.image_name(repository, _image(data)),
        data["tag"].optional_text(),
        digest=sha256 and f"sha256:{sha256.removeprefix('sha256:')}",
    )
    return pushes_or_reason([push])


def _why_no_image(data: Node) -> Ignored | None:
    name = data["name"].optional_text()
    if data["sha256"].value == _TEST_CHECKSUM:
        return Ignored("Artifactory's test delivery")
    if name is not None and name not in _MANIFESTS:
        return Ignored(f"file {name[:80]!r} is not a manifest")
    return Ignored("a Helm chart") if is_chart(data["image_type"].label()) else None


def _host(
    hosts: RegistryHosts, repository: str, origin: str | None
) -> RegistryHost | None:
    """Where images of `repository` are pulled from: the user's entry for it, else what the server says, else the
    user says for every one."""
    if own := named(hosts, repository):
        return own
    if origin is not None:
        return RegistryHost(origin, _REPOSITORY_PATH)
    common = unnamed(hosts)
    is_bare = common is not None and not common.path
    # The repositories of a server share its host, so a host alone is short for the vendor's repository path method. One
    # that is named alone has a host of its own (the subdomain and port methods).
    return RegistryHost(common.host, _REPOSITORY_PATH) if common and is_bare else common


def _image(data: Node) -> str:
    """The image's name: what `path` has before `<tag>/manifest.json`, else `image_name`."""
    path = data["path"].optional_text() or ""
    folders = path.split("/")[:-2]
    return "/".join(folders) or data["image_name"].text()
