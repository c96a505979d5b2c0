"""The status page's routes and headers: read-only, escaped, closed to everybody else, and small."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from shared.dead_letter import DeadLetter
from tests.night import HOSTILE
from tests.unit.builders import SHOP, TWO, at, candidate, container, digest, group, message, record
from tests.unit.dashboard_outside import Outside
from worker.core.entries import as_entry
from worker.dashboard.app import create_app
from worker.dashboard.state import Reading, Seen, State
from worker.dashboard.views import GROUPS
from worker.record.values import Hold

TOKEN = "a-token-of-the-status-page"
PATHS = ["/", "/status.json", "/groups/sub/web/shop", "/dead-letters/0123", "/events", "/static/dashboard.css"]


@pytest.fixture
def outside() -> Outside:
    found = Outside()
    found.look()
    found.reader.asked()
    return found


@pytest.fixture
def client(outside: Outside) -> FlaskClient:
    return create_app(outside.reader).test_client()


def text_of(client: FlaskClient, path: str) -> str:
    with client.get(path) as answer:
        return str(answer.get_data(as_text=True))


def shows(outside: Outside, state: State) -> None:
    outside.reader._board.update(lambda _before: state)


@pytest.mark.parametrize("path", [*PATHS, "/nothing"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_no_path_accepts_a_method_that_could_change_something(client: FlaskClient, path: str, method: str) -> None:
    answer = client.open(path, method=method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", [*PATHS, "/healthz", "/nothing"])
def test_every_answer_is_protected(client: FlaskClient, path: str) -> None:
    with client.get(path) as answer:
        headers = answer.headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/status.json", "/healthz", "/static/dashboard.js"])
def test_a_head_is_answered_like_a_get(client: FlaskClient, path: str) -> None:
    with client.head(path) as answer:
        assert (answer.status_code, answer.data) == (200, b"")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8082", "localhost:x", ""])
def test_another_name_for_this_machine_is_refused_without_a_token(client: FlaskClient, host: str) -> None:
    for path in PATHS:
        assert client.get(path, headers={"Host": host}).status_code == 403
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


class TestTokens:
    @pytest.fixture
    def client(self, outside: Outside) -> FlaskClient:
        return create_app(outside.reader, (TOKEN, "another-token-of-it")).test_client()

    @pytest.mark.parametrize(
        "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic Zm9vOmJhcg=="}]
    )
    def test_nobody_looks_without_one(self, client: FlaskClient, headers: dict[str, str]) -> None:
        for path in [*PATHS, "/nothing"]:
            answer = client.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
        assert client.get("/healthz").status_code == 200

    def test_whoever_has_one_looks_by_any_name(self, client: FlaskClient) -> None:
        named = {"Host": "status.example"}
        assert client.get("/", headers={**named, "Authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert client.get("/", auth=("ann", "another-token-of-it"), headers=named).status_code == 200


class TestJson:
    def test_it_is_what_status_prints(self, client: FlaskClient, outside: Outside) -> None:
        answer = client.get("/status.json")
        assert answer.mimetype == "application/json"
        assert answer.json == json.loads(json.dumps([as_entry(status) for status in outside.reader.state.statuses]))
        assert {item["target"]["container_group"] for item in answer.json or []} == {"shop", "api"}

    def test_before_anything_is_read_it_says_so(self, client: FlaskClient, outside: Outside) -> None:
        shows(outside, State())
        answer = client.get("/status.json")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert client.get("/").status_code == 200

    def test_what_others_wrote_stays_json_without_controls(self, client: FlaskClient, outside: Outside) -> None:
        held = record(hold=Hold(reason=HOSTILE, since=at(0)))
        shows(outside, State(seen={SHOP: Seen(SHOP, held, group())}, readings=outside.reader.state.readings))
        shows(outside, State(seen={SHOP: read(Seen(SHOP, held, group()))}, readings=outside.reader.state.readings))
        answer = client.get("/status.json")
        assert "\x1b" not in answer.text
        assert HOSTILE in (answer.json or [{}])[0]["held"]


def read(seen: Seen) -> Seen:
    return Seen(seen.target, seen.record, seen.group, seen.rules, Reading(at=at(0)), Reading(at=at(0)))


def hostile() -> State:
    push = message("2", pusher=HOSTILE)
    held = record({"web": container(candidate(push))}, hold=Hold(reason=HOSTILE, since=at(0), by=HOSTILE))
    held = held.end(push, "failed", HOSTILE, ("web",), at(0))
    odd = group({"web": f"acme/{HOSTILE}:1", HOSTILE: '"><b>'})
    letter = DeadLetter(
        reason=HOSTILE,
        code=HOSTILE,
        detail=HOSTILE,
        attempts=1,
        first_received_at=at(0),
        dead_lettered_at=at(0),
        message=message("2", name='"><script>'),
        log=HOSTILE,
    )
    return State(
        seen={SHOP: read(Seen(SHOP, held, odd))},
        records={SHOP: held},
        letters=(letter, HOSTILE),
        dead=2,
        unlisted=(HOSTILE,),
        readings={"the queue": Reading(error=HOSTILE)},
    )


@pytest.mark.parametrize("path", ["/", "/groups/sub/web/shop", "/?q=%3Cscript%3E%1b%E2%80%AE&page=2"])
def test_what_others_wrote_is_text(client: FlaskClient, outside: Outside, path: str) -> None:
    shows(outside, hostile())
    text = client.get(path).text
    tags = text.replace('<script src="/static/dashboard.js" defer></script>', "")
    assert "<script" not in tags.lower()
    assert "<img" not in tags
    assert not set(text) & set("\x1b\u202e\u2066")


def test_a_letter_has_a_page_of_its_own(client: FlaskClient, outside: Outside) -> None:
    shows(outside, hostile())
    links = [part.split('"')[0] for part in client.get("/").text.split('href="/dead-letters/')[1:]]
    assert len(links) == 2
    for key in links:
        text = client.get(f"/dead-letters/{key}").text
        assert text.count("<script") == 1
        assert "&lt;script&gt;" in text
    assert client.get("/dead-letters/0000").status_code == 404


@pytest.mark.parametrize(
    "path", ["/groups/sub/web/none", "/groups/sub/web/a%20b", "/groups/sub/web", "/static/../app.py"]
)
def test_what_is_not_there_is_a_404(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "query", ["page=x", "page=-5", "page=99999999999999999999", "q=" + "x" * 3000, "page=1&page=2"]
)
def test_an_odd_query_is_answered(client: FlaskClient, query: str) -> None:
    assert client.get(f"/?{query}").status_code == 200


def many() -> State:
    """200 groups of two containers, as long as they are in the field, and much to tell."""
    seen: dict[Any, Seen] = {}
    for number in range(200):
        target = SHOP.model_copy(update={"container_group": f"customer-{number:03}-production-westeurope"})
        image = f"acmeproduction.azurecr.io/platform/portal@{digest(str(number))}"
        push = message(f"1.{number}.0", pusher="release-bot@acme.example")
        now = record({"web": container(candidate(push, image=image)), "sidecar": container()}).but(target=target)
        for n in range(5):
            now = now.end(message(f"1.{number}.{n}"), "failed", "CrashLoop: back-off " * 30, ("web",), at(60 * n))
        running = group(
            {"web": "acmeproduction.azurecr.io/platform/customer-portal:1.0.0", "sidecar": "fluent-bit:3.1"}
        )
        error = Reading(at=at(0)).failed("arm: 503 ServiceUnavailable: The service is unavailable. " * 5, at(1))
        seen[target] = Seen(
            target, now, running, None, Reading(at=at(0)), error if number % 3 == 0 else Reading(at=at(0))
        )
    letters = tuple(
        DeadLetter(
            reason="rolled back",
            code="CrashLoop",
            detail="web: CrashLoopBackOff: Back-off restarting failed container " * 20,
            attempts=1,
            first_received_at=at(0),
            dead_lettered_at=at(number),
            message=TWO.model_copy(update={"id": f"{number:032x}"}),
            log="\n".join("2026-11-27T02:11:54Z ERROR could not apply the migration, giving up" for _ in range(50)),
        )
        for number in range(32)
    )
    return State(
        seen=seen, records={item.target: item.record for item in seen.values() if item.record}, letters=letters, dead=70
    )


def test_the_page_is_small_with_two_hundred_groups(client: FlaskClient, outside: Outside) -> None:
    shows(outside, many())
    weights = [len(text_of(client, path).encode()) for path in ("/", "/static/dashboard.css", "/static/dashboard.js")]
    assert sum(weights) < 100_000, weights
    assert client.get("/").text.count('role="rowheader"') == GROUPS
    assert client.get("/?page=8").text.count('role="rowheader"') == 200 - 7 * GROUPS


def test_nothing_comes_from_elsewhere(client: FlaskClient) -> None:
    for path in ("/", "/static/dashboard.css", "/static/dashboard.js", "/static/icon.svg"):
        text = text_of(client, path).replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert "http:" not in text
        assert "https:" not in text
        assert "style=" not in text
