"""The registry adapter against answers from memory: hosts that can't be had on loopback, and time that is set."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar

import httpx
import pytest

from shared.errors import RemoteError
from shared.image import ImageReference
from worker.adapters.registry import client as module
from worker.adapters.registry import listing
from worker.adapters.registry.client import Registry
from worker.adapters.registry.granting import Access
from worker.adapters.registry.pauses import PAUSE
from worker.ports import Absent, Dated, Found, Unknown

DIGEST = f"sha256:{'ab' * 32}"
MANIFEST = b'{"schemaVersion": 2}'
UNKNOWN_MANIFEST = {"errors": [{"code": "MANIFEST_UNKNOWN"}]}
CREDENTIALS = ("puller", "pa55-w0rd")

Handler = Callable[[httpx.Request], httpx.Response]
Login = Callable[[], tuple[str, str] | None]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class World:
    """A registry whose answers come from `handler`, and all requests that it was sent."""

    def __init__(self, handler: Handler, credentials: Login | tuple[str, str] | None = None, **access: Any) -> None:
        self.requests: list[httpx.Request] = []
        self.clock = Clock()
        self.addresses: dict[str, str] = {}
        self._handler = handler
        login = credentials if callable(credentials) else lambda: credentials
        self.registry = Registry(
            lambda image: Access(login, **access),
            clock=self.clock,
            transport=httpx.MockTransport(self._answer),
            resolve=lambda host: frozenset({self.addresses.get(host, "93.184.216.34" if host[0] > "9" else host)}),
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._handler(request)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))

    def lookup(self, image: str = "ghcr.io/acme/shop:v1") -> object:
        return self.registry.lookup(ImageReference.parse(image))

    def sent_to(self, host: str) -> list[httpx.Request]:
        return [request for request in self.requests if request.url.host == host]


def ok(digest: str = DIGEST) -> httpx.Response:
    return httpx.Response(200, headers={"Docker-Content-Digest": digest})


def challenged(realm: str, scheme: str = "Bearer") -> httpx.Response:
    return httpx.Response(401, headers={"WWW-Authenticate": f'{scheme} realm="{realm}",service="s"'})


def test_docker_hub_is_asked_at_its_registry() -> None:
    world = World(lambda request: ok())
    assert world.lookup("nginx:1.27") == Found(DIGEST)
    request, again = world.requests
    assert again.url == request.url, "what is behind a digest that nobody has seen yet is read once"
    assert str(request.url) == "https://registry-1.docker.io/v2/library/nginx/manifests/1.27"
    assert request.method == "HEAD"
    assert "application/vnd.oci.image.index.v1+json" in request.headers["Accept"]
    assert "application/vnd.docker.distribution.manifest.list.v2+json" in request.headers["Accept"]


def test_the_digest_is_asked_for_where_there_is_one_and_latest_where_there_is_nothing() -> None:
    world = World(lambda request: ok())
    assert world.lookup(f"ghcr.io/acme/shop:v1@{DIGEST}") == Found(DIGEST)
    world.lookup("ghcr.io/acme/shop")
    heads = [request for request in world.requests if request.method == "HEAD"]
    assert [request.url.path.rpartition("/")[2] for request in heads] == [DIGEST, "latest"]


def test_another_image_than_the_one_asked_for_is_not_believed() -> None:
    world = World(lambda request: ok(f"sha256:{'cd' * 32}"))
    assert world.lookup(f"ghcr.io/acme/shop@{DIGEST}") == Unknown(
        "ghcr.io: it answered with an image other than the one requested"
    )


@pytest.mark.parametrize("headers", [{}, {"Docker-Content-Digest": "nonsense"}])
def test_without_a_digest_in_the_header_the_body_is_hashed(headers: dict[str, str]) -> None:
    world = World(lambda request: httpx.Response(200, headers=headers, content=MANIFEST))
    assert world.lookup() == Found(f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}")
    assert [request.method for request in world.requests] == ["HEAD", "GET"]


def test_a_captive_portal_is_no_image() -> None:
    world = World(lambda request: httpx.Response(200, text="<html>please log in</html>"))
    assert world.lookup() == Unknown("ghcr.io: its answer is not an image manifest")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_takes_no_authorisation_along(status: int) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.host == "mirror.example":
            return ok()
        if "Authorization" not in request.headers:
            return challenged("r", "Basic")
        if request.url.path.endswith("/here"):
            return httpx.Response(status, headers={"Location": "https://mirror.example/x"})
        return httpx.Response(status, headers={"Location": "/v2/here"})

    world = World(handler, CREDENTIALS)
    assert world.lookup() == Found(DIGEST)
    assert all("Authorization" in request.headers for request in world.sent_to("ghcr.io")[1:])
    assert [request.headers.get("Authorization") for request in world.sent_to("mirror.example")] == [None, None]


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://mirror.example/x", "one of its URLs is not https, or can't be requested"),
        ("http://127.0.0.1:1/x", "one of its URLs is not https, or can't be requested"),
        ("http://localhost/x", "one of its URLs is not https, or can't be requested"),
        ("https://u:p@mirror.example/x", "one of its URLs is not https, or can't be requested"),
        ("https://[::1", "unreachable (RemoteProtocolError)"),
        ("/round", "it redirects too often"),
    ],
)
def test_a_redirect_leads_only_where_it_is_safe(location: str, why: str) -> None:
    world = World(lambda request: httpx.Response(307, headers={"Location": location}))
    assert world.lookup() == Unknown(f"ghcr.io: {why}")


def test_the_challenge_of_another_host_is_not_met() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.host == "mirror.example":
            return challenged("https://evil.example/token")
        return httpx.Response(307, headers={"Location": "https://mirror.example/x"})

    world = World(handler, CREDENTIALS)
    assert isinstance(world.lookup(), Unknown)
    assert not world.sent_to("evil.example")


@pytest.mark.parametrize("realm", ["http://auth.example/token", "http://127.0.0.1:9/token", "ftp://x/", "tests"])
def test_credentials_never_cross_the_network_in_the_clear(realm: str) -> None:
    world = World(lambda request: challenged(realm), CREDENTIALS)
    assert isinstance(world.lookup(), Unknown)
    assert len(world.requests) == 1
    assert "Authorization" not in world.requests[0].headers


def test_a_token_is_fetched_once_and_again_when_it_is_refused() -> None:
    tokens: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.example":
            tokens.append(f"t{len(tokens)}")
            return httpx.Response(200, json={"token": tokens[-1], "expires_in": 300})
        valid = bool(tokens) and request.headers.get("Authorization") == f"Bearer {tokens[-1]}"
        return ok() if valid else challenged("https://auth.example/token")

    world = World(handler)
    assert [world.lookup(), world.lookup()] == [Found(DIGEST)] * 2
    assert len(tokens) == 1
    world.clock.now += 295
    assert world.lookup() == Found(DIGEST)
    assert len(tokens) == 2
    tokens.append("revoked")
    assert world.lookup() == Found(DIGEST)
    assert len(tokens) == 4


@pytest.mark.parametrize("status", [301, 400, 404, 405, 418, 429, 500, 502, 503])
def test_what_is_no_registrys_answer_leaves_it_unknown(status: int) -> None:
    world = World(lambda request: httpx.Response(status, text="404 page not found"))
    assert isinstance(world.lookup(), Unknown)
    assert len(world.requests) <= 2


def test_a_404_in_a_registrys_own_words_is_absence() -> None:
    world = World(lambda request: httpx.Response(404, json=UNKNOWN_MANIFEST))
    assert world.lookup() == Absent("ghcr.io/acme/shop:v1 is not in its registry (MANIFEST_UNKNOWN)")


def test_an_image_that_appears_meanwhile_is_found() -> None:
    world = World(lambda r: httpx.Response(404) if r.method == "HEAD" else httpx.Response(200, content=MANIFEST))
    assert isinstance(world.lookup(), Found)


def test_credentials_that_cannot_be_read_leave_it_unknown() -> None:
    def credentials() -> tuple[str, str]:
        raise RemoteError("secrets", None, "SecretUnavailable", "the secret for registries/ghcr.io can't be read")

    world = World(lambda request: challenged("r", "Basic"), credentials)
    assert world.lookup() == Unknown("ghcr.io: the secret for registries/ghcr.io can't be read")


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"), httpx.ReadTimeout("slow"), UnicodeError()]
)
def test_an_unreachable_registry_is_left_alone_for_a_while(error: Exception) -> None:
    up = False

    def handler(request: httpx.Request) -> httpx.Response:
        if not up and request.url.host == "ghcr.io":
            raise error
        return ok()

    world = World(handler)
    assert world.lookup() == Unknown(f"ghcr.io: unreachable ({type(error).__name__})")
    assert world.lookup() == Unknown("ghcr.io: unreachable a moment ago, and is not asked again for a while")
    assert len(world.requests) == 1
    assert world.lookup("quay.io/acme/shop:v1") == Found(DIGEST)
    world.clock.now += PAUSE
    up = True
    assert world.lookup() == Found(DIGEST)


@pytest.mark.parametrize("failures", [1, 2])
def test_a_kept_connection_that_was_closed_is_tried_once_more(failures: int) -> None:
    left = [httpx.RemoteProtocolError("closed")] * failures

    def handler(request: httpx.Request) -> httpx.Response:
        if left:
            raise left.pop()
        return ok()

    world = World(handler)
    assert isinstance(world.lookup(), Found if failures == 1 else Unknown)
    assert len([request for request in world.requests if request.method == "HEAD"]) == 2


@contextmanager
def stalled() -> Iterator[Handler]:
    release = threading.Event()

    def handler(request: httpx.Request) -> httpx.Response:
        release.wait(10)
        return ok()

    yield handler
    release.set()


def test_a_lookup_ends_in_time_whatever_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKUP_SECONDS", 0.05)
    with stalled() as handler:
        world = World(handler)
        assert world.lookup() == Unknown("ghcr.io: unreachable (no answer within 0.05 s)")
        assert world.lookup() == Unknown("ghcr.io: unreachable a moment ago, and is not asked again for a while")


def paged(request: httpx.Request, pages: int, size: int) -> httpx.Response:
    last = request.url.params.get("last", "0")
    if not last.isdecimal():  # asked in case the last page was cut: there is nothing behind it
        return httpx.Response(200, json={"tags": []})
    number = int(last)
    link = {"Link": f'</v2/x>; rel="prev", </v2/acme/shop/tags/list?last={number + 1}>; title=more; Rel="next"'}
    tags = [f"v{number}.{tag}" for tag in range(size)]
    return httpx.Response(200, json={"tags": tags}, headers=link if number + 1 < pages else {})


SHOP = ImageReference.parse("ghcr.io/acme/shop")


@pytest.mark.parametrize(("pages", "size"), [(1, 3), (3, 2), (182, 100), (19, 1000)])
def test_tags_are_read_to_their_end(pages: int, size: int) -> None:
    # The largest official repository of Docker Hub has 18,096 tags; a cut at 5,000 was silent.
    world = World(lambda request: paged(request, pages, size))
    assert len(world.registry.tags(SHOP)) == pages * size
    assert world.requests[0].url.params["n"] == "1000"


@pytest.mark.parametrize(("limit", "value"), [("MOST_TAGS", 5), ("MOST_PAGES", 3)])
def test_a_list_without_an_end_is_an_error_and_not_a_part_of_it(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(listing, limit, value)
    world = World(lambda request: paged(request, 500, 2))
    with pytest.raises(RemoteError, match="could not be read to the end because it does not end; 6 were read"):
        world.registry.tags(SHOP)


@pytest.mark.parametrize(
    ("body", "tags"),
    [({"name": "x", "tags": None}, []), ({"tags": []}, []), ({"tags": ["v1", 2, "-bad", "x y", "v2"]}, ["v1", "v2"])],
)
def test_only_tags_are_listed(body: object, tags: list[str]) -> None:
    world = World(lambda request: httpx.Response(200, json=body))
    assert world.registry.tags(SHOP) == tags


@pytest.mark.parametrize("body", [{}, {"tags": "v1"}, {"tags": None}, [], "login"])
def test_what_is_no_list_of_tags_is_no_empty_one(body: object) -> None:
    world = World(lambda request: httpx.Response(200, json=body))
    with pytest.raises(RemoteError, match="not a list of tags"):
        world.registry.tags(SHOP)


def test_the_next_page_is_never_on_another_host() -> None:
    link = {"Link": '<https://evil.example/v2/acme/shop/tags/list>; rel="next"'}
    world = World(lambda request: httpx.Response(200, json={"tags": ["v1"]}, headers=link))
    with pytest.raises(RemoteError, match="can't be read"):
        world.registry.tags(SHOP)
    assert not world.sent_to("evil.example")


@pytest.mark.parametrize(("status", "code"), [(404, "Http404"), (403, "Unauthorized"), (429, "Http429")])
def test_tags_that_cannot_be_had_are_an_error(status: int, code: str) -> None:
    world = World(lambda request: httpx.Response(status, headers={"Retry-After": "3"}))
    with pytest.raises(RemoteError) as caught:
        world.registry.tags(ImageReference.parse("ghcr.io/acme/shop"))
    assert (caught.value.service, caught.value.status, caught.value.code) == ("registry", status, code)


def test_cookies_are_not_kept() -> None:
    world = World(lambda request: httpx.Response(200, headers={"Docker-Content-Digest": DIGEST, "Set-Cookie": "a=b"}))
    world.lookup()
    world.lookup()
    assert "Cookie" not in world.requests[1].headers


class EndlessBody(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        tick = threading.Event()
        while not tick.wait(0.01):
            yield b" "


def test_a_lookup_that_was_given_up_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKUP_SECONDS", 0.05)
    before = set(threading.enumerate())
    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=EndlessBody()))
    registry = Registry(lambda image: Access(), transport=transport)
    assert isinstance(registry.lookup(ImageReference.parse("ghcr.io/acme/shop:v1")), Unknown)
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


class TestRecent:
    """The tags that were pushed last, where a registry has an interface of its own that tells."""

    HUB: ClassVar = {"results": [{"name": "v2", "tag_last_pushed": "2026-01-02T03:04:05Z"}]}
    QUAY: ClassVar = {"tags": [{"name": "v2", "start_ts": 1767323045}]}
    LAST: ClassVar = [Dated("v2", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))]

    @pytest.mark.parametrize(
        ("image", "host", "answer"), [("acme/shop", "hub.docker.com", HUB), ("quay.io/acme/shop", "quay.io", QUAY)]
    )
    def test_everybody_is_told_and_no_credentials_are_shown(self, image: str, host: str, answer: object) -> None:
        world = World(lambda request: httpx.Response(200, json=answer), CREDENTIALS)
        assert world.registry.recent(ImageReference.parse(image)) == self.LAST
        (request,) = world.requests
        assert (request.url.host, request.headers.get("Authorization")) == (host, None)

    @pytest.mark.parametrize("status", [401, 403, 404, 500])
    def test_what_is_told_to_nobody_is_not_known(self, status: int) -> None:
        world = World(lambda request: httpx.Response(status, json={"message": "httperror"}))
        assert world.registry.recent(ImageReference.parse("acme/shop")) is None

    def test_a_registry_without_one_is_not_asked(self) -> None:
        world = World(lambda request: httpx.Response(200, json=self.HUB))
        assert world.registry.recent(SHOP) is None
        assert world.requests == []

    def test_azure_is_asked_for_its_own_list_and_refuses_it_to_strangers(self) -> None:
        world = World(lambda request: challenged("https://acme.azurecr.io/oauth2/token"))
        assert world.registry.recent(ImageReference.parse("acme.azurecr.io/shop")) is None
        assert world.requests[0].url.path == "/acr/v1/shop/_tags"

    def test_one_that_is_asked_too_often_is_left_alone(self) -> None:
        world = World(lambda request: httpx.Response(429))
        for why in ("answered 429", "answered 429 a moment ago, and is not asked again for a while"):
            with pytest.raises(RemoteError, match=why):
                world.registry.recent(ImageReference.parse("acme/shop"))
        assert len(world.requests) == 1

    def test_one_that_is_out_of_reach_does_not_count_for_the_registry_itself(self) -> None:
        def handler(request: httpx.Request) -> httpx.Response:
            if request.url.host == "hub.docker.com":
                raise httpx.ConnectError("refused")
            return ok()

        world = World(handler)
        for _ in range(2):
            assert world.registry.recent(ImageReference.parse("acme/shop")) is None
        assert len(world.sent_to("hub.docker.com")) == 1
        assert world.lookup("acme/shop:v1") == Found(DIGEST)


def test_a_public_registry_leads_to_no_private_address() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.host == "ghcr.io":
            return httpx.Response(307, headers={"Location": "https://inside.example/x"})
        return ok()

    world = World(handler)
    world.addresses["inside.example"] = "10.0.0.4"
    where = "it redirects to an address of a private network, which a public registry may not do"
    assert world.lookup() == Unknown(f"ghcr.io: {where}")
    assert not world.sent_to("inside.example")
    world.addresses["ghcr.io"] = "10.0.0.5"
    assert world.lookup() == Found(DIGEST), "one of the same private network may"


@pytest.mark.parametrize("status", [307, 401])
def test_a_host_is_judged_by_the_name_that_is_connected_to(status: int) -> None:
    there = "https://xn--fa-hia.de/token"

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.host != "ghcr.io":
            return ok()
        return httpx.Response(307, headers={"Location": there}) if status == 307 else challenged(there)

    world = World(handler)
    # The standard library resolves the same name in its other spelling, faß.de, as fass.de.
    world.addresses |= {"faß.de": "93.184.216.34", "xn--fa-hia.de": "10.0.0.4"}
    assert isinstance(world.lookup(), Unknown)
    assert {request.url.host for request in world.requests} == {"ghcr.io"}


def test_a_realm_of_a_private_address_is_not_asked() -> None:
    world = World(lambda request: challenged("https://auth.ghcr.io/token"), CREDENTIALS)
    world.addresses["auth.ghcr.io"] = "127.0.0.1"
    assert isinstance(world.lookup(), Unknown)
    assert {request.url.host for request in world.requests} == {"ghcr.io"}
