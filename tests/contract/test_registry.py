"""The registry adapter against Debian's docker-registry, a token server that it trusts, and servers that misbehave."""

import json
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.errors import RemoteError
from shared.image import ImageReference
from tests.processes import free_ports, wait_until
from tests.registry_server import (
    PASSWORD,
    PATIENCE,
    USER,
    RegistryServer,
    image_of,
    sha256,
    skopeo_push,
)
from tests.stub_server import Answer, Headers, StubServer
from worker.adapters.registry import client as module
from worker.adapters.registry import wire
from worker.adapters.registry.client import Registry
from worker.adapters.registry.granting import Access
from worker.adapters.registry.pauses import PAUSE
from worker.ports import Absent, Found, Unknown

MISSING = f"sha256:{'0' * 64}"
MANIFEST = b'{"schemaVersion": 2}'


class TokenServer:
    """Issues tokens that docker-registry trusts. Anonymous clients may pull `public/…`, USER everything."""

    SERVICE, ISSUER = "tests", "issuer"

    def __init__(self, folder: Path) -> None:
        self.expires_in: int | None = 300
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate()
        self._chain = [b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()]
        self.bundle = folder / "bundle.pem"
        self.bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def answer(self, method: str, path: str, headers: Headers) -> Answer:
        query = parse_qs(urlsplit(path).query)
        known = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        given = headers.get("authorization")
        if query.get("service") != [self.SERVICE] or given not in {None, f"Basic {known}"}:
            return 401, {}, b'{"errors": [{"code": "UNAUTHORIZED"}]}'
        kind, _, rest = query["scope"][0].partition(":")
        name, _, actions = rest.rpartition(":")
        allowed = actions.split(",") if given or name.startswith("public/") else []
        answer: dict[str, Any] = {"token": self.token(kind, name, allowed)}
        if self.expires_in is not None:
            answer["expires_in"] = self.expires_in
        return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()

    def token(self, kind: str, name: str, actions: list[str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.ISSUER,
            "sub": "",
            "aud": self.SERVICE,
            "exp": now + 300,
            "nbf": now - 10,
            "iat": now,
            "jti": str(now),
            "access": [{"type": kind, "name": name, "actions": actions}],
        }
        return jwt.encode(claims, self._key, "ES256", headers={"x5c": self._chain})

    def _certificate(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def nobody(image: ImageReference) -> Access:
    return Access()


def somebody(image: ImageReference) -> Access:
    return Access(login=lambda: (USER, PASSWORD))


def stranger(image: ImageReference) -> Access:
    return Access(login=lambda: ("stranger", "wr0ng-word"))


def reference(host: str, name: str) -> ImageReference:
    return ImageReference.parse(f"{host}/{name}")


@pytest.fixture(scope="module")
def server() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(clock: Clock) -> Iterator[Registry]:
    registry = Registry(nobody, clock=clock)
    yield registry
    registry.close()


@pytest.fixture
def known(clock: Clock) -> Iterator[Registry]:
    registry = Registry(somebody, clock=clock)
    yield registry
    registry.close()


def test_a_pushed_tag_is_found_and_followed_when_it_moves(server: RegistryServer, registry: Registry) -> None:
    first = server.push("acme/moving", "latest", b"one")
    assert registry.lookup(reference(server.host, "acme/moving:latest")) == Found(first)
    assert registry.lookup(reference(server.host, "acme/moving")) == Found(first)
    second = server.push("acme/moving", "latest", b"two")
    assert second != first
    assert registry.lookup(reference(server.host, "acme/moving:latest")) == Found(second)
    assert registry.lookup(reference(server.host, f"acme/moving@{first}")) == Found(first)
    assert server.push("acme/moving", "latest", b"two") == second


def test_an_index_is_found_by_its_own_digest_with_those_of_its_platforms(
    server: RegistryServer, registry: Registry
) -> None:
    index = server.push_index("acme/multi", "v1", {"amd64": b"one", "arm64": b"two"})
    platforms = frozenset(sha256(image_of(*each)[2]) for each in ((b"one", "amd64"), (b"two", "arm64")))
    found = Found(index, platforms, built_for=frozenset({"linux/amd64", "linux/arm64"}))
    assert registry.lookup(reference(server.host, "acme/multi:v1")) == found
    assert registry.lookup(reference(server.host, "acme/multi:v1"), frozenset({index})) == found
    second = Registry(nobody)
    assert second.lookup(reference(server.host, "acme/multi:v1"), frozenset({index})) == Found(index), "nothing is read"
    second.close()


def test_an_index_of_indexes_is_found_with_the_manifests_of_all(server: RegistryServer, registry: Registry) -> None:
    # Regression: Azure reports a manifest of an inner index, which counted as another image, so that the first sweep
    # restarted the group.
    index = server.push_nested_index("acme/nested", "v1", {"arm64": b"one"}, {"amd64": b"two"})
    found = registry.lookup(reference(server.host, "acme/nested:v1"))
    assert isinstance(found, Found)
    assert found.digest == index
    assert {sha256(image_of(*each)[2]) for each in ((b"one", "arm64"), (b"two", "amd64"))} <= found.platforms
    assert found.built_for == frozenset({"linux/amd64", "linux/arm64"})


def test_when_an_image_was_made_and_what_it_is_built_for(server: RegistryServer, registry: Registry) -> None:
    made = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    server.push("acme/dated", "v1", b"one", created=made)
    server.push_index("acme/dated", "v2", {"arm64": b"two", "amd64": b"one"}, created=made)
    server.push("acme/dated", "undated", b"three")
    server.push_cache("acme/dated", "cache", b"layers")
    for tag, created in {"v1": made, "v2": made, "undated": None, "cache": None, "gone": None}.items():
        assert registry.created(reference(server.host, f"acme/dated:{tag}")) == created
    assert registry.recent(reference(server.host, "acme/dated")) is None, "the protocol tells no times of pushes"
    choosy = Registry(lambda image: Access(platforms=True))
    for tag, platforms in {"v1": ["linux/amd64"], "v2": ["linux/arm64", "linux/amd64"]}.items():
        found = choosy.lookup(reference(server.host, f"acme/dated:{tag}"))
        assert isinstance(found, Found)
        assert found.built_for == frozenset(platforms)
    choosy.close()


def test_what_is_no_image_is_told(server: RegistryServer, registry: Registry) -> None:
    server.push("acme/cached", "v2", b"two")
    digest = server.push_cache("acme/cached", "buildcache", b"layers")
    found = registry.lookup(reference(server.host, "acme/cached:buildcache"))
    assert found == Found(digest, artifact="its config is application/vnd.buildkit.cacheconfig.v0")


@pytest.mark.parametrize("name", ["acme/gone:v2", "acme/never:v1", f"acme/gone@{MISSING}", "acme/deleted:v1"])
def test_what_was_never_pushed_or_is_deleted_is_absent(server: RegistryServer, registry: Registry, name: str) -> None:
    server.push("acme/gone", "v1", b"here")
    server.delete("acme/deleted", server.push("acme/deleted", "v1", b"soon gone"))
    assert isinstance(registry.lookup(reference(server.host, name)), Absent)


def test_what_skopeo_pushes_is_found(server: RegistryServer, registry: Registry) -> None:
    digest = skopeo_push(server, "acme/skopeo", "v1", b"by skopeo")
    assert registry.lookup(reference(server.host, "acme/skopeo:v1")) == Found(digest)
    assert digest == server.push("acme/skopeo", "again", b"by skopeo")


def test_all_tags_are_listed(server: RegistryServer, registry: Registry) -> None:
    for tag in ("v1", "v2", "latest"):
        server.push("acme/tagged", tag, b"one")
    assert sorted(registry.tags(reference(server.host, "acme/tagged"))) == ["latest", "v1", "v2"]
    with pytest.raises(RemoteError) as caught:
        registry.tags(reference(server.host, "acme/untagged"))
    assert caught.value.status == 404


def test_many_threads_share_one_registry(server: RegistryServer, registry: Registry) -> None:
    digest = server.push("acme/popular", "v1", b"one")
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(registry.lookup, [reference(server.host, "acme/popular:v1")] * 100))
    assert found == [Found(digest)] * 100


def test_a_registry_that_comes_back_is_asked_again(registry: Registry, clock: Clock) -> None:
    with RegistryServer() as server:
        digest = server.push("acme/shop", "v1", b"one")
        image = reference(server.host, "acme/shop:v1")
        assert registry.lookup(image) == Found(digest)
        server.stop()
        assert registry.lookup(image) == Unknown(f"{server.host}: unreachable (ConnectError)")
        server.start()
        assert registry.lookup(image) == Unknown(
            f"{server.host}: unreachable a moment ago, and is not asked again for a while"
        )
        clock.now += PAUSE
        assert registry.lookup(image) == Found(digest)


def test_basic_authentication(registry: Registry, known: Registry) -> None:
    with RegistryServer(htpasswd=True) as server:
        digest = server.push("acme/shop", "v1", b"one")
        image = reference(server.host, "acme/shop:v1")
        assert registry.lookup(image) == Unknown(f"{server.host}: private, and no credentials are configured for it")
        assert known.lookup(image) == Found(digest)
        assert isinstance(known.lookup(reference(server.host, "acme/shop:v2")), Absent)
        assert known.tags(image) == ["v1"]
        unknown = Registry(stranger)
        refused = unknown.lookup(image)
        assert refused == Unknown(f"{server.host}: the credentials that are configured for it were refused")
        unknown.close()


def test_token_authentication(registry: Registry, known: Registry, clock: Clock, tmp_path: Path) -> None:
    issuer = TokenServer(tmp_path)
    with StubServer(issuer.answer) as tokens:
        configuration = {
            "realm": f"{tokens.url}/token",
            "service": issuer.SERVICE,
            "issuer": issuer.ISSUER,
            "rootcertbundle": str(issuer.bundle),
        }
        pusher = lambda name: f"Bearer {issuer.token('repository', name, ['pull', 'push'])}"  # noqa: E731
        with RegistryServer(token=configuration, authorise=pusher) as server:
            public = server.push("public/shop", "v1", b"one")
            private = server.push("private/shop", "v1", b"two")

            assert registry.lookup(reference(server.host, "public/shop:v1")) == Found(public)
            assert isinstance(registry.lookup(reference(server.host, "public/shop:v2")), Absent)
            assert len(tokens.asked) == 1, "the token is kept"
            assert registry.tags(reference(server.host, "public/shop")) == ["v1"]
            assert registry.lookup(reference(server.host, "private/shop:v1")) == Unknown(
                f"{server.host}: private, and no credentials are configured for it"
            )
            assert all("authorization" not in headers for _, _, headers, _ in tokens.asked)

            assert known.lookup(reference(server.host, "private/shop:v1")) == Found(private)
            count = len(tokens.asked)
            clock.now += 280
            assert known.lookup(reference(server.host, "private/shop:v1")) == Found(private)
            assert len(tokens.asked) == count, "the token is still good"
            clock.now += 15
            assert known.lookup(reference(server.host, "private/shop:v1")) == Found(private)
            assert len(tokens.asked) == count + 1, "the token was about to expire"

            unknown = Registry(stranger)
            assert unknown.lookup(reference(server.host, "public/shop:v1")) == Unknown(
                f"{server.host}: the credentials that are configured for it were refused"
            )
            unknown.close()


def test_notifications_arrive_with_their_headers() -> None:
    with (
        StubServer(lambda method, path, headers: (200, {}, b"")) as listener,
        RegistryServer(
            notify=[{"url": f"{listener.url}/events", "headers": {"Authorization": "Bearer s3cret"}}]
        ) as server,
    ):
        digest = server.push("acme/shop", "v1", b"one")

        def manifests() -> list[dict[str, Any]]:
            events = [event for *_, body in listener.asked for event in json.loads(body)["events"]]
            return [event for event in events if event["action"] == "push" and event["target"].get("tag") == "v1"]

        wait_until(lambda: bool(manifests()), PATIENCE, "the first notification")
        (event,) = manifests()
        assert event["target"]["digest"] == digest
        assert event["target"]["repository"] == "acme/shop"
        assert event["request"]["host"] == server.host
        assert listener.asked[0][2]["authorization"] == "Bearer s3cret"
        wait_until(lambda: server.pending_notifications() == 0, PATIENCE, "the last notification")


def challenge(text: str) -> Answer:
    return 401, {"WWW-Authenticate": text}, b""


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        ((429, {"Retry-After": "5"}, b""), "answered 429"),
        ((500, {}, b""), "answered 500"),
        ((503, {}, b"<html>"), "answered 503"),
        ((404, {}, b"default backend - 404"), "it answered 404, but not as a registry does"),
        ((404, {}, b"x" * 70_000), "its answer is larger than 65536 bytes"),
        ((200, {}, b"x" * 5_000_000), "its answer is larger than 4194304 bytes"),
        ((200, {"Content-Encoding": "gzip"}, MANIFEST), None),
        ((200, {"Content-Length": "10"}, b""), "unreachable (ReadTimeout)"),
        (
            challenge('Bearer realm="http://registry.example.com/token"'),
            "one of its URLs is not https, or can't be requested",
        ),
        (challenge('Bearer realm="nowhere"'), "one of its URLs is not https, or can't be requested"),
        (challenge("Negotiate"), "it requires an unknown kind of authorisation"),
        (challenge('"",=,Bearer'), "it requires an unknown kind of authorisation"),
        (challenge(""), "it requires an unknown kind of authorisation"),
        ((401, {}, b""), "it requires an unknown kind of authorisation"),
        (
            (302, {"Location": "http://registry.example.com/x"}, b""),
            "one of its URLs is not https, or can't be requested",
        ),
    ],
)
def test_whatever_is_answered_is_survived(
    known: Registry, monkeypatch: pytest.MonkeyPatch, answer: Answer, detail: str | None
) -> None:
    monkeypatch.setattr(wire, "READ_SECONDS", 0.2)
    with StubServer(lambda method, path, headers: answer) as stub:
        outcome = known.lookup(reference(stub.host, "acme/shop:v1"))
        if detail is None:
            assert outcome == Found(sha256(MANIFEST))
        else:
            assert outcome == Unknown(f"{stub.host}: {detail}")


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"token": "a b"}', b"[" * 50_000, b'{"token": "' + b"x" * 60_000 + b'"}']
)
def test_a_token_server_that_talks_nonsense(known: Registry, body: bytes) -> None:
    def answer(method: str, path: str, headers: Headers) -> Answer:
        realm = f'Bearer realm="http://{headers["host"]}/token",service="s"'
        return (200, {}, body) if path.startswith("/token") else challenge(realm)

    with StubServer(answer) as stub:
        assert known.lookup(reference(stub.host, "acme/shop:v1")) == Unknown(
            f"{stub.host}: its token server's answer contains no token"
        )


def test_credentials_follow_a_redirect_only_within_the_host(known: Registry) -> None:
    digest = sha256(MANIFEST)

    def elsewhere(method: str, path: str, headers: Headers) -> Answer:
        return 200, {"Docker-Content-Digest": digest}, MANIFEST

    with StubServer(elsewhere) as mirror:

        def answer(method: str, path: str, headers: Headers) -> Answer:
            if "authorization" not in headers:
                return challenge('Basic realm="r"')
            place = f"{mirror.url}/there" if path == "/here" else "/here"
            return 307, {"Location": place}, b""

        with StubServer(answer) as stub:
            assert known.lookup(reference(stub.host, "acme/shop:v1")) == Found(digest)
    assert {("authorization" in headers) for _, _, headers, _ in mirror.asked} == {False}


def drip(listener: socket.socket, over: threading.Event) -> None:
    """Answer one request with headers that never end, a few bytes at a time, until the test is over."""
    connection, _ = listener.accept()
    with connection, suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not over.wait(0.02):
            connection.sendall(b"X: y\r\n")


def test_a_server_that_drips_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKUP_SECONDS", 0.2)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        pool.submit(drip, listener, over)
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        registry = Registry(nobody)
        # Without a limit of its own, another one would end it: httpx', whose error reads otherwise.
        late = Unknown(f"{host}: unreachable (no answer within 0.2 s)")
        try:
            assert registry.lookup(reference(host, "acme/shop:v1")) == late
        finally:
            over.set()
        registry.close()


def test_a_registry_at_which_nobody_listens_is_unreachable(registry: Registry) -> None:
    (port,) = free_ports(1)
    assert registry.lookup(reference(f"127.0.0.1:{port}", "acme/shop:v1")) == Unknown(
        f"127.0.0.1:{port}: unreachable (ConnectError)"
    )
    with pytest.raises(RemoteError) as caught:
        registry.tags(reference(f"127.0.0.1:{port}", "acme/shop"))
    assert (caught.value.status, caught.value.code) == (None, "Unreachable")


def test_no_secret_is_told(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    def answer(method: str, path: str, headers: Headers) -> Answer:
        if path.startswith("/token"):
            return 200, {}, b'{"token": "t0ken-of-the-test"}'
        return challenge(f'Bearer realm="http://{headers["host"]}/token",service="s"')

    caplog.set_level("DEBUG")
    with StubServer(answer) as stub:
        registry = Registry(somebody)
        told = repr(registry.lookup(reference(stub.host, "acme/shop:v1")))
        with pytest.raises(RemoteError) as caught:
            registry.tags(reference(stub.host, "acme/shop"))
        registry.close()
    told += repr(caught.value) + repr(caught.value.__cause__) + caplog.text + "".join(capfd.readouterr())
    assert stub.asked[1][2]["authorization"].startswith("Basic ")
    for secret in (PASSWORD, "t0ken-of-the-test", stub.asked[1][2]["authorization"].partition(" ")[2]):
        assert secret not in told
