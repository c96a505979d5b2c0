"""Azure Container Registry by the worker's own identity, against a registry that follows its documented exchange.

https://azure.github.io/acr/AAD-OAuth.html: an Entra token is exchanged for a refresh token of the registry, and that
for an access token of a scope.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import ClientAuthenticationError

from shared.errors import RemoteError
from shared.image import ImageReference
from tests.stub_server import Answer, Headers, StubServer
from worker.adapters.registry.client import Registry
from worker.adapters.registry.granting import ENTRA_SCOPE, NO_IDENTITY, Access
from worker.ports import Absent, Dated, Found, Unknown

MANIFEST = b'{"schemaVersion": 2}'
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
LOGIN = ("token-name", "token-password-1")


class FakeAzure:
    """An Azure Container Registry with one repository, team/shop. `roles`: has the identity been let in?"""

    def __init__(self) -> None:
        self.roles = True
        self.open_to_all = False
        self.exchange_status: int | None = None
        self.steps: list[str] = []

    def serve(self, method: str, path: str, headers: Headers, body: bytes) -> Answer:
        place = urlsplit(path).path
        if place.startswith("/oauth2/"):
            return self._token_server(method, path, headers, body)
        scope = _scope_of(place)
        wanted = {f"Bearer access:{scope}", *([f"Bearer open:{scope}"] if self.open_to_all else [])}
        if headers.get("authorization") not in wanted:
            self.steps.append("challenge")
            realm = f'Bearer realm="http://{headers["host"]}/oauth2/token",service="{headers["host"]}",scope="{scope}"'
            return 401, {"WWW-Authenticate": realm}, b'{"errors": [{"code": "UNAUTHORIZED"}]}'
        self.steps.append(f"{method} {place}")
        if place.startswith("/acr/v1/"):
            tags = [{"name": "v2", "digest": DIGEST, "lastUpdateTime": "2026-01-02T03:04:05.1234567Z"}]
            return 200, {}, json.dumps({"registry": "acme", "tags": tags}).encode()
        if place.endswith("/tags/list"):
            return 200, {}, b'{"name": "team/shop", "tags": ["v1", "v2"]}'
        if place.endswith("/manifests/v2"):
            return 200, {"Docker-Content-Digest": DIGEST}, MANIFEST
        return 404, {}, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'

    def _token_server(self, method: str, path: str, headers: Headers, body: bytes) -> Answer:
        if method == "GET":
            self.steps.append("stranger" if "authorization" not in headers else "user")
            scope = parse_qs(urlsplit(path).query)["scope"][0]
            return 200, {}, json.dumps({"access_token": f"open:{scope}"}).encode()
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        assert headers["content-type"] == "application/x-www-form-urlencoded"
        assert form["service"] == headers["host"]
        if urlsplit(path).path == "/oauth2/exchange":
            self.steps.append("exchange")
            if self.exchange_status:
                return self.exchange_status, {}, b""
            right = form["grant_type"] == "access_token" and form["access_token"] == "entra-token"
            if not (right and self.roles):
                return 401, {}, b'{"errors": [{"code": "UNAUTHORIZED"}]}'
            return 200, {}, b'{"refresh_token": "refresh-token"}'
        self.steps.append("token")
        assert form["grant_type"] == "refresh_token"
        assert form["refresh_token"] == "refresh-token"
        return 200, {}, json.dumps({"access_token": f"access:{form['scope']}"}).encode()


def _scope_of(place: str) -> str:
    right = "pull" if re.search("/manifests/|/blobs/", place) else "metadata_read"
    return f"repository:team/shop:{right}"


class Identity:
    """The worker's own: it notes for whom a token is wanted."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.scopes: list[tuple[str, ...]] = []

    def get_token(self, *scopes: str, **options: object) -> AccessToken:
        self.scopes.append(scopes)
        if self.error:
            raise self.error
        return AccessToken("entra-token", 0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def azure() -> FakeAzure:
    return FakeAzure()


@pytest.fixture
def stub(azure: FakeAzure) -> Iterator[StubServer]:
    with StubServer(full=azure.serve) as stub:
        yield stub


Begin = Callable[..., Registry]


@pytest.fixture
def begin() -> Iterator[Begin]:
    registries = []

    def begun(
        identity: TokenCredential,
        clock: Clock | None = None,
        shown: Literal["always", "default", "never"] = "always",
        login: tuple[str, str] | None = None,
    ) -> Registry:
        access = Access(login=lambda: login, identity=shown)
        registries.append(Registry(lambda image: access, lambda: identity, clock=clock or Clock()))
        return registries[-1]

    yield begun
    for registry in registries:
        registry.close()


def shop(stub: StubServer, tag: str = "v2") -> ImageReference:
    return ImageReference.parse(f"{stub.host}/team/shop:{tag}")


def test_a_token_of_the_identity_is_exchanged_and_then_used(azure: FakeAzure, stub: StubServer, begin: Begin) -> None:
    identity, clock = Identity(), Clock()
    registry = begin(identity, clock)
    assert registry.lookup(shop(stub)) == Found(DIGEST)
    assert isinstance(registry.lookup(shop(stub, "v9")), Absent)
    head, get = "HEAD /v2/team/shop/manifests/v2", "GET /v2/team/shop/manifests/v2"
    assert azure.steps[:5] == ["challenge", "exchange", "token", head, get]
    assert azure.steps.count("exchange") == azure.steps.count("token") == 1
    assert identity.scopes == [(ENTRA_SCOPE,)] == [("https://containerregistry.azure.net/.default",)]
    assert registry.tags(shop(stub)) == ["v1", "v2"]
    (dated,) = registry.recent(shop(stub)) or []
    assert (dated.tag, dated.pushed_at.isoformat()) == ("v2", "2026-01-02T03:04:05.123456+00:00")
    assert isinstance(dated, Dated)
    assert azure.steps.count("token") == 3, "each right on its own"
    clock.now += 55  # the registry says nothing of how long its tokens live
    assert registry.lookup(shop(stub)) == Found(DIGEST)
    assert (azure.steps.count("exchange"), azure.steps.count("token")) == (1, 4)
    clock.now += 3600
    registry.lookup(shop(stub))
    assert azure.steps.count("exchange") == 2


def test_an_identity_without_the_role_is_told_which_one(azure: FakeAzure, stub: StubServer, begin: Begin) -> None:
    azure.roles = False
    said = begin(Identity()).lookup(shop(stub))
    assert said == Unknown(
        f"{stub.host}: the worker's own identity has no access; assign it the role AcrPull on this registry"
    )


def test_without_an_identity_it_is_said_why(stub: StubServer, begin: Begin) -> None:
    said = begin(Identity(ClientAuthenticationError("no credential found: run az login"))).lookup(shop(stub))
    assert isinstance(said, Unknown)
    assert "the worker's own identity got no token for it: no credential found: run az login" in said.detail


@pytest.mark.parametrize("identity", [Identity(), Identity(ClientAuthenticationError("no credential found"))])
def test_by_default_a_registry_may_be_open_to_all(
    azure: FakeAzure, stub: StubServer, begin: Begin, identity: Identity
) -> None:
    azure.roles, azure.open_to_all = False, True
    clock = Clock()
    registry = begin(identity, clock, "default")
    assert registry.lookup(shop(stub)) == Found(DIGEST)
    asked = len(identity.scopes)
    clock.now += 60
    assert registry.lookup(shop(stub)) == Found(DIGEST)
    assert len(identity.scopes) == asked, "it takes its time to find out, so it is not asked again at once"
    clock.now += NO_IDENTITY
    registry.lookup(shop(stub))
    assert len(identity.scopes) == asked + 1


def test_by_default_too_it_is_said_what_is_missing(azure: FakeAzure, stub: StubServer, begin: Begin) -> None:
    azure.roles = False
    said = begin(Identity(), None, "default").lookup(shop(stub))
    assert isinstance(said, Unknown)
    assert "private, and the worker's own identity has no access; assign it the role AcrPull" in said.detail


@pytest.mark.parametrize("status", [429, 503])
def test_an_exchange_that_fails_for_now_makes_nobody_a_stranger(
    azure: FakeAzure, stub: StubServer, begin: Begin, status: int
) -> None:
    azure.exchange_status = status
    registry = begin(Identity(), None, "default")
    assert registry.lookup(shop(stub)) == Unknown(f"{stub.host}: answered {status}")
    assert "stranger" not in azure.steps


def test_a_user_name_and_password_take_its_place(azure: FakeAzure, stub: StubServer, begin: Begin) -> None:
    azure.open_to_all = True
    identity = Identity()
    assert begin(identity, None, "never", LOGIN).lookup(shop(stub)) == Found(DIGEST)
    assert (identity.scopes, azure.steps.count("user")) == ([], 1)


def test_it_is_shown_to_nobody_else(begin: Begin) -> None:
    asked = []

    def thief(method: str, path: str, headers: Headers, body: bytes) -> Answer:
        asked.append((method, path, body))
        return 200, {}, b'{"refresh_token": "r", "access_token": "a"}'

    with StubServer(full=thief) as elsewhere:
        realm = f'Bearer realm="http://localhost:{elsewhere.host.rpartition(":")[2]}/oauth2/token",service="x"'
        with StubServer(lambda *_: (401, {"WWW-Authenticate": realm}, b"")) as registry:
            identity = Identity()
            said = begin(identity).lookup(shop(registry))
    assert isinstance(said, Unknown)
    assert "is not sent to another host" in said.detail
    assert (asked, identity.scopes) == ([], [])


def test_no_token_is_told(
    azure: FakeAzure,
    stub: StubServer,
    begin: Begin,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")
    registry = begin(Identity())
    told = repr(registry.lookup(shop(stub))) + repr(vars(registry))
    azure.roles = False
    with pytest.raises(RemoteError) as caught:
        begin(Identity()).tags(shop(stub))
    told += repr(caught.value) + repr(caught.value.__cause__) + caplog.text + "".join(capfd.readouterr())
    for secret in ("entra-token", "refresh-token", "access:"):
        assert secret not in told
