"""The status page in a real headless Chromium, over real storage and the ARM simulator; axe-core looks at all of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import pytest

from tests.azurite import Azurite
from tests.browser import Browser, Tab
from tests.night import HOSTILE, Served, message, night, record_of, save, send_letter, serve, with_change
from tests.processes import PATIENCE, wait_until
from tests.site import RESOURCE_GROUP, SUBSCRIPTION
from worker.dashboard.front import STREAMS
from worker.record.values import Hold

TOKEN = "a-token-of-the-status-page"
PHONE, DESKTOP = 360, 1280


@pytest.fixture(scope="module")
def served(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with night(azurite, tmp_path_factory.mktemp("night")) as found:
        wait_until(lambda: "checkout" in trouble(found.url), PATIENCE, "the night is read")
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as running:
        yield running


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, trust_env=False, timeout=PATIENCE)


def trouble(url: str) -> str:
    """The groups in trouble, by status.json."""
    answer = get(f"{url}/status.json")
    found = answer.json() if answer.status_code == 200 else []
    return " ".join(item["target"]["container_group"] for item in found if item["problem"])


def is_clean(tab: Tab) -> bool:
    """Nothing that axe-core finds, nothing in the console, nothing from elsewhere, no scrolling sideways."""
    hosts = {urlsplit(url).hostname for url in tab.requests}
    width = tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert (tab.axe(), tab.complaints, hosts, width) == ([], [], {"127.0.0.1"}, 0)
    return True


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("dark", [False, True])
def test_every_page_is_in_order_on_every_screen(served: Served, browser: Browser, width: int, dark: bool) -> None:
    tab = browser.tab(width=width, dark=dark)
    tab.open(f"{served.url}/")
    assert is_clean(tab)
    assert tab.run("matchMedia('(prefers-color-scheme: dark)').matches") is dark


@pytest.mark.parametrize("link", ["tbody th a", ".letter a[href^='/dead-letters/']"])
def test_so_are_the_pages_of_a_group_and_of_a_letter(served: Served, browser: Browser, link: str) -> None:
    tab = browser.tab(width=PHONE, dark=True)
    tab.open(f"{served.url}/")
    tab.open(tab.run(f'document.querySelector("{link}").href'))
    assert is_clean(tab)


def test_it_tells_the_night_trouble_first(served: Served, browser: Browser) -> None:
    tab = browser.tab()
    tab.open(f"{served.url}/")
    labels = tab.run("[...document.querySelectorAll('tbody .badge')].map(one => one.textContent)")
    assert labels == ["Trouble", "Failed", "Failed", "Rolling out", "Held", "Held", *["OK"] * 6]
    text = tab.run("document.getElementById('main').innerText")
    for told in (
        "1 in trouble, 2 failed",
        "CrashLoop",
        'column "tax" does not exist',  # in the container's last lines
        "MissingSecrets",
        "configure each secret",
        "an update is watched",
        "held by hand: month's end",
        "do not touch before the audit",
        "waits: ghcr.io/acme/reports:8",
        "1 message on the queue, 2 dead letters",
    ):
        assert told in text or told in tab.run("document.body.textContent")


def test_without_javascript_it_is_the_same_page(served: Served, browser: Browser) -> None:
    tab = browser.tab(width=PHONE, scripts=False)
    tab.open(f"{served.url}/")
    shown = tab.call("DOM.getDocument", depth=-1)
    assert "'nodeValue': 'Rolling out'" in str(shown)
    assert not [url for url in tab.requests if "/events" in url]


def test_what_changes_is_shown_at_once(served: Served, browser: Browser) -> None:
    tab = browser.tab()
    tab.open(f"{served.url}/")
    tab.wait_for("document.getElementById('pause').hidden === false")
    images = {"app": "ghcr.io/acme/sessions:1.0.3"}
    before = served.site.record("sessions")
    tab.run("document.querySelector('a[href$=\"/web/tracking\"]').focus()")
    push = message("ghcr.io/acme/sessions:1.1.0", "sessions", served.now)
    save(served.site, with_change(record_of("sessions", images), push, "app", datetime.now(UTC)))
    tab.wait_for("document.getElementById('rollouts').parentElement.innerText.includes('web/sessions')")
    assert "2 rolling out" in tab.run("document.getElementById('said').textContent")
    assert tab.run("document.activeElement.getAttribute('href')").endswith("/web/tracking")
    save(served.site, before)
    tab.wait_for("!document.getElementById('part-rollouts').innerText.includes('web/sessions')")
    assert is_clean(tab)


def test_it_can_be_paused(served: Served, browser: Browser) -> None:
    tab = browser.tab()
    tab.open(f"{served.url}/")
    tab.wait_for("document.getElementById('pause').hidden === false")
    tab.run("document.getElementById('pause').click()")
    before = served.site.record("tracking")
    save(served.site, before.but(hold=Hold(reason="paused page", since=served.now)))
    wait_until(lambda: "paused page" in get(f"{served.url}/status.json").text, PATIENCE, "the hold is read")
    assert "paused page" not in tab.run("document.body.textContent")
    tab.run("document.getElementById('pause').click()")
    tab.wait_for("document.body.textContent.includes('paused page')")
    save(served.site, before)


def test_the_keyboard_reaches_everything_in_order(served: Served, browser: Browser) -> None:
    tab = browser.tab(reduced=True)
    tab.open(f"{served.url}/")
    tab.wait_for("document.getElementById('pause').hidden === false")
    reached = []
    for _ in range(9):
        tab.press("Tab")
        reached.append(tab.run("document.activeElement.textContent.trim() || document.activeElement.id"))
        assert tab.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert reached[:7] == ["Skip to the content", "aci-hooks", "Groups", "Dead letters", "History", "Refresh", "Pause"]
    assert reached[7:] == ["q", "Find"]
    assert tab.run("document.getAnimations().length") == 0
    tab.open(f"{served.url}/")
    tab.press("Tab")
    tab.press("Enter")
    assert tab.run("document.activeElement.id") == "main"


def test_what_others_wrote_does_nothing(served: Served, browser: Browser) -> None:
    images = {"app": "ghcr.io/acme/tracking:0.9.12"}
    before = served.site.record("tracking")
    odd = message("ghcr.io/acme/tracking:9", "tracking", served.now, pusher=HOSTILE)
    save(served.site, record_of("tracking", images).end(odd, "failed", HOSTILE, ("app",), served.now).but(outbox=()))
    tab = browser.tab()
    tab.open(f"{served.url}/groups/{SUBSCRIPTION}/{RESOURCE_GROUP}/tracking")
    tab.wait_for("document.body.textContent.includes(\"<script>alert('x')</script>\")")
    assert tab.run("document.querySelectorAll('img').length") == 0
    assert is_clean(tab)
    save(served.site, before)


def test_status_json_is_what_the_command_prints(served: Served) -> None:
    printed = served.site.json_of("status")
    wait_until(
        lambda: bool(get(f"{served.url}/status.json").json() == printed), PATIENCE, "the same as the command prints"
    )


def stream(url: str) -> socket.socket:
    """A viewer that asks for events and never reads what comes."""
    parts = urlsplit(url)
    viewer = socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)
    viewer.sendall(f"GET /events HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    return viewer


def test_silent_clients_and_too_many_streams_do_not_stop_it(served: Served) -> None:
    parts = urlsplit(served.url)
    silent = [socket.create_connection((parts.hostname, parts.port)) for _ in range(300)]
    slow = [stream(served.url) for _ in range(STREAMS + 1)]
    try:
        heads = [item.recv(12) for item in slow]
        assert set(heads) == {b"HTTP/1.1 200", b"HTTP/1.1 503"}
        assert heads.count(b"HTTP/1.1 200") <= STREAMS
        assert get(f"{served.url}/").status_code == 200
    finally:
        for item in (*silent, *slow):
            item.close()
    # Their places are free again.
    wait_until(lambda: is_streamed(served.url), PATIENCE, "a place for a viewer")


def is_streamed(url: str) -> bool:
    with stream(url) as one:
        return one.recv(64).startswith(b"HTTP/1.1 200")


def test_with_a_token_the_browser_asks_for_it(served: Served, browser: Browser) -> None:
    url = serve(served.site, "--host", "0.0.0.0", ACI_HOOKS_DASHBOARD_TOKENS=TOKEN)
    assert get(url).status_code == 401
    assert get(url, Authorization=f"Bearer {TOKEN}", Host="status.example").status_code == 200
    tab = browser.tab()
    tab.open(url.replace("://", f"://anybody:{TOKEN}@"))
    tab.wait_for("document.getElementById('pause').hidden === false")
    served.site.updates.send("another message")
    tab.wait_for("document.body.innerText.includes('2 messages on the queue')")
    # It ends in time, whoever looks.
    assert served.site.processes.programs[-1].terminate() == 0


def test_letters_are_only_peeked_at(served: Served) -> None:
    send_letter(served.site, message("acme/x:1", "shop", served.now), "Conflict", "twice", served.now)
    wait_until(lambda: "Conflict" in get(f"{served.url}/").text, PATIENCE, "the letter is shown")
    received = served.site.poison.receive(32)
    assert {message.dequeue_count for message in received} == {1}
    for item in received:
        served.site.poison.reschedule(item, item.text, 0)


def test_an_outage_is_told_with_the_last_state(served: Served, browser: Browser) -> None:
    tab = browser.tab()
    tab.open(f"{served.url}/")
    served.site.arm.fault("error", status=403, code="AuthorizationFailed", message="no role")
    tab.wait_for("document.body.innerText.includes('Azure does not show 12 of 12 groups')")
    assert "acme.azurecr.io/shop" in tab.run("document.body.innerText")
    assert is_clean(tab)
    served.site.arm.clear_faults()
