"""Debian's docker-registry (CNCF Distribution) as a process of a test's own, and small images to push to it.

`with RegistryServer() as registry: registry.push("acme/shop", "v1", b"one")`. The packages docker-registry and skopeo
are installed where they are missing; a test is never skipped for their lack.
"""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict

import httpx
import yaml

from tests.debian import installed
from tests.processes import free_ports, wait_until

BUILDKIT_CACHE = "application/vnd.buildkit.cacheconfig.v0"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
USER, PASSWORD = "puller", "open-sesame-please"
HTPASSWD = f"{USER}:$2b$04$abcdefghijklmnopqrstuu5cDwtMjoBGCEAqLIAFQRhm9IICYlhkq\n"
"""A user with that password, for `RegistryServer(htpasswd=True)`."""
PATIENCE = 60.0
"""Seconds for a registry to start, answer or end; far more than it takes."""

Blob = bytes
Json = dict[str, Any]


class Endpoint(TypedDict, total=False):
    """Where the registry sends its notifications: the URL, and the headers (name → value) that go with them."""

    url: str
    headers: Mapping[str, str]


class RegistryServer:
    """A registry on a free port of loopback, empty at first, gone at the end.

    `notify`: the endpoints that are told of every push. `htpasswd`: only USER with PASSWORD may push and pull.
    `token`: the `auth.token` part of the registry's configuration, for a token server of the test's own;
    `authorise` then gives the Authorization header with which a repository may be pushed to.
    """

    def __init__(
        self,
        *,
        notify: Sequence[Endpoint] = (),
        htpasswd: bool = False,
        token: Mapping[str, str] | None = None,
        authorise: Callable[[str], str] | None = None,
    ) -> None:
        self._program = installed("docker-registry", "docker-registry", "registry")
        self._folder = Path(tempfile.mkdtemp(prefix="registry-"))
        self._notify = notify
        self._htpasswd = htpasswd
        self._token = token
        self._authorise = authorise
        self._process: subprocess.Popen[bytes] | None = None
        port, debug_port = free_ports(2)
        self.host = f"127.0.0.1:{port}"
        self._debug = f"127.0.0.1:{debug_port}"
        self._client = httpx.Client(
            base_url=f"http://{self.host}/v2/", auth=(USER, PASSWORD) if htpasswd else None, timeout=PATIENCE
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._client.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, on the images that it had if it ran before, and wait until it answers."""
        (self._folder / "htpasswd").write_text(HTPASSWD)
        (self._folder / "config.yml").write_text(yaml.safe_dump(self._configuration()))
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "serve", str(self._folder / "config.yml")],
                stdout=log,
                stderr=log,
                env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
            )
        try:
            wait_until(self._answers, PATIENCE, f"docker-registry answers on {self.host}")
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.log()}") from error

    def stop(self) -> None:
        """Stop it; the images stay until the context ends."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def log(self) -> str:
        """All that it has logged."""
        return (self._folder / "log").read_text(errors="replace")

    def image(self, repository: str, tag: str) -> str:
        """The image's full name, as a container group would name it."""
        return f"{self.host}/{repository}:{tag}"

    def push(self, repository: str, tag: str, content: bytes, *, created: datetime | None = None) -> str:
        """Push an image of one layer with one file; its digest, which depends on `content` and `created` alone."""
        return self._push_image(repository, tag, content, created=created)[0]

    def push_index(
        self, repository: str, tag: str, contents: Mapping[str, bytes], *, created: datetime | None = None
    ) -> str:
        """Push a multi-arch image, architecture → content, its children by digest; the index's digest."""
        children = []
        for architecture, content in contents.items():
            digest, manifest = self._push_image(repository, None, content, architecture, created)
            platform = {"os": "linux", "architecture": architecture}
            children.append({"mediaType": OCI_MANIFEST, "digest": digest, "size": len(manifest), "platform": platform})
        index = _json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children})
        return self._put_manifest(repository, tag, OCI_INDEX, index)

    def push_nested_index(self, repository: str, tag: str, *contents: Mapping[str, bytes]) -> str:
        """Push an index of multi-arch images, which names no platforms of its own; its digest."""
        children = []
        for number, each in enumerate(contents):
            digest = self.push_index(repository, f"{tag}-{number}", each)
            children.append({"mediaType": OCI_INDEX, "digest": digest, "size": 1})
        index = _json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children})
        return self._put_manifest(repository, tag, OCI_INDEX, index)

    def push_cache(self, repository: str, tag: str, content: bytes) -> str:
        """Push what BuildKit's `cache-to` does beside an image: layers without a container's config; its digest."""
        config, layer, _ = image_of(content)
        for blob in (config, layer):
            self._upload(repository, blob)
        manifest = _manifest(config, layer, BUILDKIT_CACHE)
        return self._put_manifest(repository, tag, OCI_MANIFEST, manifest)

    def delete(self, repository: str, digest: str) -> None:
        """Delete a manifest, and with it every tag that points at it."""
        self._ask("DELETE", repository, f"manifests/{digest}")

    def pending_notifications(self) -> int:
        """How many events have not been delivered yet, over all endpoints, as the registry itself counts."""
        answer = httpx.get(f"http://{self._debug}/debug/vars", timeout=PATIENCE).json()
        endpoints = answer["registry"]["notifications"]["endpoints"] or []
        return sum(endpoint["Metrics"]["Pending"] for endpoint in endpoints)

    def _configuration(self) -> Json:
        auth: Json = {}
        if self._htpasswd:
            auth["htpasswd"] = {"realm": "tests", "path": str(self._folder / "htpasswd")}
        if self._token:
            auth["token"] = dict(self._token)
        endpoints = [
            {
                "name": f"endpoint-{number}",
                "url": endpoint["url"],
                "headers": {name: [value] for name, value in endpoint.get("headers", {}).items()},
                "timeout": "1s",
                "threshold": 3,
                "backoff": "200ms",
            }
            for number, endpoint in enumerate(self._notify)
        ]
        return {
            "version": "0.1",
            "log": {"level": "debug"},
            "storage": {
                "filesystem": {"rootdirectory": str(self._folder / "storage")},
                "delete": {"enabled": True},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": {"addr": self.host, "host": f"http://{self.host}", "debug": {"addr": self._debug}},
            **({"notifications": {"endpoints": endpoints}} if endpoints else {}),
            **({"auth": auth} if auth else {}),
        }

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise AssertionError(f"docker-registry has ended:\n{self.log()}")
        try:
            return self._client.get("").status_code in {200, 401}
        except httpx.TransportError:
            return False

    def _push_image(
        self,
        repository: str,
        tag: str | None,
        content: bytes,
        architecture: str = "amd64",
        created: datetime | None = None,
    ) -> tuple[str, bytes]:
        config, layer, manifest = image_of(content, architecture, created)
        for blob in (config, layer):
            self._upload(repository, blob)
        return self._put_manifest(repository, tag, OCI_MANIFEST, manifest), manifest

    def _upload(self, repository: str, blob: Blob) -> None:
        place = self._ask("POST", repository, "blobs/uploads/").headers["Location"]
        url = httpx.URL(place).copy_merge_params({"digest": sha256(blob)})
        headers = {"Content-Type": "application/octet-stream"}
        self._ask("PUT", repository, str(url), content=blob, headers=headers)

    def _put_manifest(self, repository: str, tag: str | None, media_type: str, manifest: bytes) -> str:
        path = f"manifests/{tag or sha256(manifest)}"
        answer = self._ask("PUT", repository, path, content=manifest, headers={"Content-Type": media_type})
        assert answer.headers["Docker-Content-Digest"] == sha256(manifest)
        return sha256(manifest)

    def _ask(
        self,
        method: str,
        repository: str,
        path: str,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        url = path if path.startswith("http") else f"{repository}/{path}"
        granted = {"Authorization": self._authorise(repository)} if self._authorise else {}
        answer = self._client.request(method, url, content=content, headers={**(headers or {}), **granted})
        if not answer.is_success:
            raise AssertionError(f"{method} {url} → {answer.status_code}: {answer.text}\n{self.log()}")
        return answer


def image_of(content: bytes, architecture: str = "amd64", created: datetime | None = None) -> tuple[Blob, Blob, bytes]:
    """Configuration, layer and manifest of an image that holds `content` in one file; the same for the same content."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("content")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    layer = gzip.compress(archive.getvalue(), mtime=0)
    config = _json(
        {
            **({"created": created.isoformat()} if created else {}),
            "architecture": architecture,
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [sha256(archive.getvalue())]},
        }
    )
    return config, layer, _manifest(config, layer, OCI_CONFIG)


def write_layout(folder: Path, tag: str, content: bytes) -> str:
    """Write an OCI image layout with one image under `tag`; its digest. github.com/opencontainers/image-spec."""
    config, layer, manifest = image_of(content)
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    for blob in (config, layer, manifest):
        (blobs / hashlib.sha256(blob).hexdigest()).write_bytes(blob)
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    entry = {**_descriptor(OCI_MANIFEST, manifest), "annotations": {"org.opencontainers.image.ref.name": tag}}
    (folder / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [entry]}))
    return sha256(manifest)


def skopeo_push(registry: RegistryServer, repository: str, tag: str, content: bytes) -> str:
    """Push an image with `skopeo copy`, as a CI job would; the digest that it has in the registry."""
    program = installed("skopeo", "skopeo")
    with tempfile.TemporaryDirectory(prefix="layout-") as name:
        folder = Path(name)
        write_layout(folder, tag, content)
        command = [program, "--insecure-policy", "copy", "--dest-tls-verify=false"]
        command += [
            "--digestfile",
            str(folder / "digest"),
            f"oci:{folder}:{tag}",
            f"docker://{registry.host}/{repository}:{tag}",
        ]
        copied = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if copied.returncode:
            raise AssertionError(f"skopeo copy failed:\n{copied.stderr}\n{registry.log()}")
        return (folder / "digest").read_text().strip()


def sha256(data: bytes) -> str:
    """The data's digest."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _manifest(config: Blob, layer: Blob, config_type: str) -> bytes:
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _descriptor(config_type, config),
            "layers": [_descriptor(OCI_LAYER, layer)],
        }
    )


def _descriptor(media_type: str, data: bytes) -> Json:
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}


def _json(value: Json) -> bytes:
    return json.dumps(value).encode()
