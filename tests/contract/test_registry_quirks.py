"""How registries behave in the field, each way of it with its right outcome, over real HTTP.

The behaviours are those of vendors' documentation, of public reports on registries and their clients, and of proxies.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.errors import RemoteError
from shared.image import ImageReference
from tests.stub_server import Answer, Headers, StubServer, write_certificate
from worker.adapters.registry.client import Registry
from worker.adapters.registry.granting import Access
from worker.adapters.registry.pauses import PAUSE
from worker.ports import Absent, Found, Lookup, Unknown

USER, PASSWORD = "puller", "open-sesame-please"
Serve = Callable[[str, str, Headers], Answer]
OCI = "application/vnd.oci.image."
CONFIG, LAYER = f"{OCI}config.v1+json", f"{OCI}layer.v1.tar+gzip"


def sha256(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def manifest(config: str | None = CONFIG, layer: str = LAYER, **rest: Any) -> bytes:
    descriptors = {"config": {"mediaType": config, "digest": sha256(b"c"), "size": 1}} if config else {}
    layers = [{"mediaType": layer, "digest": sha256(b"l"), "size": 1}]
    return json.dumps(
        {"schemaVersion": 2, "mediaType": f"{OCI}manifest.v1+json", **descriptors, "layers": layers} | rest
    ).encode()


def index(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": f"{OCI}index.v1+json", "manifests": entries}).encode()


def entry(body: bytes, kind: str = f"{OCI}manifest.v1+json", **rest: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": sha256(body), "size": len(body), **rest}


def error(code: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": "as it says"}]}).encode()


IMAGE = manifest()
D = sha256(IMAGE)
NAMED = {"Docker-Content-Digest": D}
GOOD: Answer = (200, NAMED, IMAGE)
BEARER = 'Bearer realm="http://{host}/token",service="quirks",scope="repository:acme/shop:pull"'
AMD64: dict[str, Any] = {"platform": {"os": "linux", "architecture": "amd64"}}


def always(answer: Answer) -> Serve:
    return lambda method, path, headers: answer


def by_method(head: Answer, get: Answer = GOOD) -> Serve:
    return lambda method, path, headers: head if method == "HEAD" else get


def held(**bodies: bytes) -> Serve:
    """Manifests by tag, and by digest; the digest is in the header."""

    def serve(method: str, path: str, headers: Headers) -> Answer:
        name = urlsplit(path).path.rpartition("/")[2]
        body = bodies.get(name) or {sha256(body): body for body in bodies.values()}.get(name)
        return (200, {"Docker-Content-Digest": sha256(body)}, body) if body else (404, {}, error("MANIFEST_UNKNOWN"))

    return serve


def guarded(
    challenge: str | Callable[[Headers], Headers] = BEARER,
    token: Callable[[str, str, Headers], Answer] = lambda method, path, headers: (200, {}, b'{"token": "t"}'),
    good: Answer = GOOD,
    wanted: str = "Bearer t",
) -> Serve:
    """A registry that wants an authorisation, and its token server at /token."""

    def serve(method: str, path: str, headers: Headers) -> Answer:
        if path.startswith("/token"):
            return token(method, path, headers)
        if headers.get("authorization") == wanted:
            return good
        if callable(challenge):
            return 401, challenge(headers), error("UNAUTHORIZED")
        return 401, {"WWW-Authenticate": challenge.format(host=headers["host"])}, error("UNAUTHORIZED")

    return serve


def basic() -> str:
    from worker.adapters.registry.auth import basic as header

    return header(USER, PASSWORD)


def known_only(method: str, path: str, headers: Headers) -> Answer:
    if headers.get("authorization") != basic():
        return 401, {}, error("UNAUTHORIZED")
    return 200, {}, b'{"access_token": "t", "expires_in": 300}'


def moved(to: str, then: Answer = GOOD, status: int = 307) -> Serve:
    """A redirect of everything but what it leads to."""

    def serve(method: str, path: str, headers: Headers) -> Answer:
        if path.startswith("/there"):
            return then
        return status, {"Location": to.format(host=headers["host"])}, b""

    return serve


def store_without_head(method: str, path: str, headers: Headers) -> Answer:
    if not path.startswith("/store"):
        return 307, {"Location": "/store?signature=of-a-get"}, b""
    return GOOD if method == "GET" else (403, {}, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")


INNER = manifest(layer=f"{OCI}layer.v1.tar+zstd")
HELM = "application/vnd.cncf.helm.config.v1+json"
CHART = manifest(HELM)
ARCHES = index(entry(IMAGE, **AMD64), entry(INNER, platform={"os": "linux", "architecture": "arm64"}))
BARE, CHARTS = index(entry(IMAGE)), index(entry(CHART))
CACHE = index(entry(b"layer", LAYER), entry(b"config", "application/vnd.buildkit.cacheconfig.v0"))
SIGNATURE = manifest(layer="application/vnd.dev.cosign.simplesigning.v1+json")
ONE = json.dumps({"schemaVersion": 1, "name": "acme/shop", "tag": "v1", "fsLayers": [], "signatures": []}).encode()
GZIPPED = {"Content-Encoding": "gzip"}
NOT_THERE = "ABSENT"
Outcome = Lookup | str
"""What a lookup gives; a text is a part of what is said where it can't be told, NOT_THERE where there is no image."""

LOOKUPS: dict[str, tuple[Serve, Outcome]] = {
    # HEAD and the header
    "as the specification has it": (always(GOOD), Found(D)),
    **{
        f"a HEAD is answered {status}": (by_method((status, {}, b"")), Found(D))
        for status in (204, 400, 403, 404, 405, 406, 500, 501, 502, 503)
    },
    "a HEAD says 200 and no digest": (by_method((200, {}, b"")), Found(D)),
    "a HEAD's digest is quoted": (by_method((200, {"Docker-Content-Digest": f'"{D}"'}, b"")), Found(D)),
    "a HEAD's digest is none": (by_method((200, {"Docker-Content-Digest": "sha256:abc"}, b"")), Found(D)),
    "a digest of another kind": (
        always((200, {"Docker-Content-Digest": f"sha512:{'a' * 128}"}, IMAGE)),
        Found(f"sha512:{'a' * 128}"),
    ),
    "a GET is refused after a good HEAD": (by_method((200, NAMED, b""), (403, {}, error("DENIED"))), Found(D)),
    "a GET is throttled after a good HEAD": (
        by_method((200, NAMED, b""), (429, {}, error("TOOMANYREQUESTS"))),
        Found(D),
    ),
    "a GET finds nothing after a good HEAD": (by_method((200, NAMED, b""), (404, {}, b"")), Found(D)),
    "a GET gives a page after a good HEAD": (by_method((200, NAMED, b""), (200, {}, b"<html>")), Found(D)),
    "no digest anywhere": (always((200, {}, IMAGE)), Found(D)),
    "a redirect to a store that refuses a HEAD": (store_without_head, Found(D)),
    # bodies
    "compressed though nobody asked": (always((200, GZIPPED, gzip.compress(IMAGE))), Found(D)),
    "said to be compressed, and not": (always((200, GZIPPED, IMAGE)), Found(D)),
    "compressed and broken": (
        always((200, GZIPPED, gzip.compress(IMAGE)[:-9] + b"x" * 9)),
        "not compressed as its headers say",
    ),
    "compressed without an end": (always((200, GZIPPED, gzip.compress(b" " * 2**23))), "larger than"),
    "too large": (always((200, {}, b" " * 2**23)), "larger than"),
    "a hotel's page": (always((200, {}, b"<html>please log in</html>")), "not an image manifest"),
    "nothing": (always((200, {}, b"")), "not an image manifest"),
    "a list": (always((200, {}, b"[]")), "not an image manifest"),
    "without a content type": (always((200, {"Content-Type": "text/plain"}, IMAGE)), Found(D)),
    # what it is
    "an index": (
        held(v1=ARCHES),
        Found(sha256(ARCHES), frozenset({D, sha256(INNER)}), None, frozenset({"linux/amd64", "linux/arm64"})),
    ),
    "an index without platforms": (held(v1=BARE, inner=IMAGE), Found(sha256(BARE), frozenset({D}))),
    "an index whose manifest can't be had": (held(v1=BARE), Found(sha256(BARE), frozenset({D}))),
    "an index of charts": (
        held(v1=CHARTS, inner=CHART),
        Found(sha256(CHARTS), frozenset({sha256(CHART)}), f"its config is {HELM}"),
    ),
    "a chart": (
        held(v1=CHART),
        Found(sha256(CHART), artifact=f"its config is {HELM}"),
    ),
    "BuildKit's cache": (held(v1=CACHE), Found(sha256(CACHE), artifact=f"its index lists {LAYER}")),
    "cosign's signature": (
        held(v1=SIGNATURE),
        Found(sha256(SIGNATURE), artifact="its layers are application/vnd.dev.cosign.simplesigning.v1+json"),
    ),
    "a manifest of Docker's first kind": (always((200, NAMED, ONE)), Found(D)),
    "a manifest that says nothing of its config": (always((200, {}, manifest(None))), Found(sha256(manifest(None)))),
    # 404
    **{
        f"a 404 with {code}": (always((404, {}, error(code))), NOT_THERE)
        for code in ("MANIFEST_UNKNOWN", "NOT_FOUND", "TAG_EXPIRED", "manifest_unknown")
    },
    "a 404 with NAME_UNKNOWN to a stranger": (always((404, {}, error("NAME_UNKNOWN"))), "private"),
    "a 404 with NAME_UNKNOWN to its user": (
        guarded("Basic realm=r", good=(404, {}, error("NAME_UNKNOWN")), wanted=basic()),
        NOT_THERE,
    ),
    "a 404 with DENIED": (always((404, {}, error("DENIED"))), "private"),
    "a 404 with UNAUTHORIZED": (always((404, {}, error("UNAUTHORIZED"))), "private"),
    "a proxy's 404": (always((404, {}, b"default backend - 404")), "not as a registry does"),
    "a 404 without an error": (always((404, {}, b'{"errors": []}')), "not as a registry does"),
    "a 404 of another kind of JSON": (always((404, {}, b'{"message": "Not Found"}')), "not as a registry does"),
    # 401
    "Basic": (guarded("Basic realm=r", wanted=basic()), Found(D)),
    "Bearer": (guarded(), Found(D)),
    "Bearer in capitals": (guarded(BEARER.replace("Bearer realm", "BEARER Realm")), Found(D)),
    "Basic and Bearer in one header": (guarded(f"Basic realm=r, {BEARER}"), Found(D)),
    "Bearer without a scope": (guarded('Bearer realm="http://{host}/token",service="s"'), Found(D)),
    "Bearer without a service": (guarded('Bearer realm="http://{host}/token"'), Found(D)),
    "a token for users alone": (guarded(token=known_only), Found(D)),
    "a token server that redirects": (
        guarded(
            token=lambda method, path, headers: (
                (200, {}, b'{"token": "t"}') if path.startswith("/token/") else (302, {"Location": "/token/"}, b"")
            )
        ),
        Found(D),
    ),
    "a token server that refuses": (guarded(token=always((401, {}, b""))), "credentials that are configured"),
    "a token server that fails": (guarded(token=always((500, {}, b""))), "answered 500"),
    "a token server that is a page": (guarded(token=always((200, {}, b"<html>"))), "contains no token"),
    "a token that does not help": (guarded(wanted="Bearer another"), "credentials that are configured"),
    "a challenge that nobody knows": (guarded("Negotiate"), "unknown kind"),
    "a 401 without a challenge": (guarded(lambda headers: {}), "unknown kind"),
    "a realm in the clear elsewhere": (guarded('Bearer realm="http://auth.example.com/token"'), "not https"),
    "a realm that is none": (guarded('Bearer realm="token"'), "not https"),
    "a realm of the machine's metadata": (guarded('Bearer realm="https://169.254.169.254/token"'), "private network"),
    "a realm of Azure's wire server": (guarded('Bearer realm="https://168.63.129.16/token"'), "private network"),
    "forbidden": (always((403, {}, error("DENIED"))), "private"),
    # redirects
    **{f"a redirect by {status}": (moved("/there", status=status), Found(D)) for status in (301, 302, 303, 307, 308)},
    "an absolute redirect": (moved("http://{host}/there"), Found(D)),
    "a redirect without a place": (always((307, {}, b"")), "answered 307"),
    "a circle": (moved("/round"), "redirects"),
    "a redirect to a login page": (moved("/there", (200, {}, b"<html>")), "not an image manifest"),
    "a redirect to a file": (moved("file:///etc/passwd"), "not https"),
    "a redirect to the machine's metadata": (moved("https://169.254.169.254/latest"), "private network"),
    "a redirect in the clear elsewhere": (moved("http://store.example.com/x"), "not https"),
    # trouble
    "a server's error": (always((500, {}, b"")), "answered 500"),
    "a teapot": (always((418, {}, b"")), "answered 418"),
    "a body that breaks off": (always((200, {"Content-Length": "9999", "Connection": "close"}, IMAGE)), "unreachable"),
    "a server that wants TLS": (
        always((400, {}, b"Client sent an HTTP request to an HTTPS server.\n")),
        "write `scheme: https`",
    ),
}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def asked(clock: Clock | None = None, **access: Any) -> Iterator[Registry]:
    registry = Registry(lambda image: Access(**{"login": lambda: (USER, PASSWORD)} | access), clock=clock or Clock())
    yield registry
    registry.close()


def reference(host: str, name: str = "acme/shop:v1") -> ImageReference:
    return ImageReference.parse(f"{host}/{name}")


@pytest.mark.parametrize("quirk", LOOKUPS)
def test_a_lookup(quirk: str) -> None:
    serve, outcome = LOOKUPS[quirk]
    login: dict[str, Any] = {"login": lambda: None} if "stranger" in quirk else {}
    with StubServer(serve) as stub, asked(**login) as registry:
        said = registry.lookup(reference(stub.host))
    if isinstance(outcome, Found):
        assert said == outcome
    elif outcome == NOT_THERE:
        assert isinstance(said, Absent)
    else:
        assert isinstance(said, Unknown)
        text = said.detail
        assert str(outcome) in text or (outcome == "private" and "refused" in text)
        assert PASSWORD not in text


def pages(*links: str, last: Answer | None = None) -> Serve:
    """Pages of one tag each, the first at the plain list; `{n}` is the number of the next page."""

    def serve(method: str, path: str, headers: Headers) -> Answer:
        query = parse_qs(urlsplit(path).query)
        number = int(query.get("last", ["0"])[0].removeprefix("v"))
        body = json.dumps({"name": "acme/shop", "tags": [f"v{number}"]}).encode()
        if urlsplit(path).path != "/v2/acme/shop/tags/list":
            return 404, {}, error("NAME_UNKNOWN")
        if number < len(links):
            return 200, {"Link": links[number].format(n=number + 1, host=headers["host"])}, body
        return last or (200, {}, body)

    return serve


def refusing(*sizes: str, status: int = 400) -> Serve:
    def serve(method: str, path: str, headers: Headers) -> Answer:
        size = parse_qs(urlsplit(path).query).get("n", [""])[0]
        if size in sizes:
            return status, {}, error("PAGINATION_NUMBER_INVALID")
        return 200, {}, json.dumps({"name": "acme/shop", "tags": ["v0", "v1"]}).encode()

    return serve


def cut(at: int, count: int) -> Serve:
    """All tags in their order, at most `at` at a time, with no word of there being more."""
    every = sorted(f"t{number}" for number in range(count))

    def serve(method: str, path: str, headers: Headers) -> Answer:
        query = parse_qs(urlsplit(path).query)
        after = query.get("last", [""])[0]
        wanted = min(at, int(query.get("n", [str(at)])[0]))
        body = {"name": "acme/shop", "tags": [tag for tag in every if tag > after][:wanted]}
        return 200, {}, json.dumps(body).encode()

    return serve


def unpaged(count: int) -> Serve:
    """All tags at once, whatever is asked."""
    return always((200, {}, json.dumps({"tags": [f"t{number}" for number in range(count)]}).encode()))


PATH = "/v2/acme/shop/tags/list"
TAGS: dict[str, tuple[Serve, int | str]] = {
    "one page": (pages(), 1),
    "a path": (pages(f'<{PATH}?last=v{{n}}&n=1>; rel="next"'), 2),
    "a query alone": (pages('<?last=v{n}&n=1>; rel="next"'), 2),
    "an absolute URL": (pages(f'<http://{{host}}{PATH}?last=v{{n}}>; rel="next"'), 2),
    "https behind a proxy": (pages(f'<https://{{host}}{PATH}?last=v{{n}}>; rel="next"'), 2),
    "an inner host": (pages(f'<http://registry:5000{PATH}?last=v{{n}}>; rel="next"'), 2),
    "without a port": (pages(f'<http://127.0.0.1{PATH}?last=v{{n}}>; rel="next"'), 2),
    "without the repository's key": (pages('</v2/shop/tags/list?last=v{n}>; rel="next"'), 2),
    "without quotes": (pages("<?last=v{n}>; rel=next"), 2),
    "in single quotes": (pages("<?last=v{n}>; rel='next'"), 2),
    "in capitals": (pages('<?last=v{n}>; REL="NEXT"'), 2),
    "with spaces": (pages('< ?last=v{n} > ; rel = "next"'), 2),
    "several relations": (pages('<?last=v{n}>; rel="last next"'), 2),
    "another parameter first": (pages('<?last=v{n}>; title="a, b"; rel="next"'), 2),
    "after another link": (pages('<?last=v0>; rel="prev", <?last=v{n}>; rel="next"'), 2),
    "a very long one": (pages(f'<?last=v{{n}}&mark={"x" * 6000}>; rel="next"'), 2),
    "four pages": (pages(*['<?last=v{n}>; rel="next"'] * 3), 4),
    "only a link back": (pages('<?last=v0>; rel="prev"'), 1),
    "a link to nowhere": (pages('<>; rel="next"'), "form a loop"),
    "a link without a query": (pages('<https://evil.example.com/>; rel="next"'), "can't be read"),
    "a circle": (pages('<?last=v0&x=1>; rel="next"'), "form a loop"),
    "a page that is missing": (pages('<?last=v{n}>; rel="next"', last=(404, {}, b"")), "a page of it is missing"),
    "a page that fails": (pages('<?last=v{n}>; rel="next"', last=(500, {}, b"")), "answered 500"),
    "a page that is none": (pages('<?last=v{n}>; rel="next"', last=(200, {}, b"<html>")), "not a list of tags"),
    "1000 is refused": (refusing("1000"), 2),
    "1000 is refused as 422": (refusing("1000", status=422), 2),
    "1000 is a server's error": (refusing("1000", status=500), 2),
    "every size is refused": (refusing("1000", "100"), 2),
    "no size at all is refused, too": (refusing("1000", "100", ""), "answered 400"),
    "cut at 1000 without a link": (cut(1000, 2500), 2500),
    "cut at 100 without a link": (cut(100, 250), 250),
    "cut at 50 without a link": (cut(50, 100), 100),
    "18,096 tags at once": (unpaged(18_096), 18_096),
    "1000 tags at once": (unpaged(1000), 1000),
    "no tags": (always((200, {}, b'{"name": "acme/shop", "tags": null}')), 0),
    "no such repository": (always((404, {}, error("NAME_UNKNOWN"))), "answered 404"),
    "a page of a hotel": (always((200, {}, b"<html>")), "not a list of tags"),
}


@pytest.mark.parametrize("quirk", TAGS)
def test_a_list_of_tags(quirk: str) -> None:
    serve, outcome = TAGS[quirk]
    with StubServer(serve) as stub, asked() as registry:
        if isinstance(outcome, int):
            assert len(registry.tags(reference(stub.host))) == outcome
        else:
            with pytest.raises(RemoteError, match=outcome):
                registry.tags(reference(stub.host))


@pytest.mark.parametrize(
    ("after", "pause"),
    [("20", 20), (None, PAUSE), ("3600000", 3600), ("-1", PAUSE), ("soon", PAUSE)],
)
@pytest.mark.parametrize("ask", ["lookup", "tags"])
def test_a_registry_that_is_asked_too_often_is_left_alone_for_as_long_as_it_says(
    after: str | None, pause: float, ask: str
) -> None:
    clock = Clock()
    throttled: Answer = (429, {"Retry-After": after} if after else {}, error("TOOMANYREQUESTS"))
    with StubServer(always(throttled)) as stub, asked(clock) as registry:

        def answer() -> str:
            if ask == "lookup":
                return str(registry.lookup(reference(stub.host)))
            with pytest.raises(RemoteError) as refused:
                registry.tags(reference(stub.host))
            return str(refused.value)

        assert "answered 429" in answer()
        assert len(stub.asked) == 1, "a GET after it would only count as another one"
        clock.now += pause - 1
        assert "answered 429 a moment ago, and is not asked again for a while" in answer()
        assert len(stub.asked) == 1
        clock.now += 1
        answer()
        assert len(stub.asked) == 2


def test_a_date_may_say_for_how_long() -> None:
    clock = Clock()
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=1000), usegmt=True)
    with StubServer(always((503, {"Retry-After": at}, b""))) as stub, asked(clock) as registry:
        registry.lookup(reference(stub.host))
        count = len(stub.asked)
        clock.now += 900
        registry.lookup(reference(stub.host))
        assert len(stub.asked) == count
        clock.now += 101
        registry.lookup(reference(stub.host))
        assert len(stub.asked) > count


def test_what_is_behind_a_digest_is_read_once_and_a_tag_is_asked_for_every_time() -> None:
    with StubServer(held(v1=ARCHES)) as stub, asked() as registry:
        found = registry.lookup(reference(stub.host))
        assert registry.lookup(reference(stub.host)) == found
    assert [method for method, _ in stub.requests] == ["HEAD", "GET", "HEAD"]


def test_when_an_image_was_made_is_asked_once() -> None:
    config = json.dumps({"created": "2026-01-02T03:04:05Z", "os": "linux", "architecture": "amd64"}).encode()
    body = manifest().replace(sha256(b"c").encode(), sha256(config).encode())

    def serve(method: str, path: str, headers: Headers) -> Answer:
        return (200, {}, config) if "/blobs/" in path else held(v1=body)(method, path, headers)

    with StubServer(serve) as stub, asked() as registry:
        for _ in range(2):
            assert registry.created(reference(stub.host)) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert [method for method, _ in stub.requests] == ["HEAD", "GET", "GET", "HEAD"]


def test_an_index_whose_manifest_is_refused_for_now_is_found_all_the_same() -> None:
    def serve(method: str, path: str, headers: Headers) -> Answer:
        return (429, {}, b"") if D in path else held(v1=BARE)(method, path, headers)

    with StubServer(serve) as stub, asked() as registry:
        assert registry.lookup(reference(stub.host)) == Found(sha256(BARE), frozenset({D}))


def test_credentials_stay_with_the_registrys_own_token_server() -> None:
    with StubServer(lambda method, path, headers: (200, {}, b'{"token": "t"}')) as elsewhere:
        port = elsewhere.host.rpartition(":")[2]
        foreign = guarded(f'Bearer realm="http://localhost:{port}/token"', wanted="Bearer of a user")
        with StubServer(foreign) as stub, asked() as registry:
            said = registry.lookup(reference(stub.host))
            assert isinstance(said, Unknown)
            assert "were not sent to its token server localhost" in said.detail
            assert {headers.get("authorization") for _, _, headers, _ in elsewhere.asked} == {None}
        open_to_all = guarded(f'Bearer realm="http://localhost:{port}/token"')
        with StubServer(open_to_all) as stub, asked() as registry:
            assert registry.lookup(reference(stub.host)) == Found(D), "a stranger's token will do for what is public"
        with StubServer(open_to_all) as stub, asked(realms=("localhost",)) as registry:
            assert registry.lookup(reference(stub.host)) == Found(D)
            assert elsewhere.asked[-1][2]["authorization"] == basic()


def test_tls_with_an_authority_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = write_certificate(tmp_path)
    with StubServer(always(GOOD), certificate) as stub:
        with asked(scheme="https") as registry:
            said = registry.lookup(reference(stub.host))
            assert isinstance(said, Unknown)
            assert "its certificate can't be trusted: self-signed certificate" in said.detail
            assert "SSL_CERT_FILE" in said.detail
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with asked(scheme="https") as registry:
            assert registry.lookup(reference(stub.host)) == Found(D)
            assert registry.lookup(reference(stub.host.replace("127.0.0.1", "localhost"))) == Found(D), "of one label"


def test_a_server_that_speaks_no_tls() -> None:
    with StubServer(always(GOOD)) as stub, asked(scheme="https") as registry:
        said = registry.lookup(reference(stub.host))
        assert isinstance(said, Unknown)
        assert "it does not answer over TLS" in said.detail
        assert "write `scheme: http`" in said.detail
