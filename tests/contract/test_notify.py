"""The notifier, posting to a real HTTP server on loopback, and to ones that are slow, broken or not there."""

import json
import logging
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from queue import Queue
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.errors import RemoteError
from shared.telemetry import Redaction
from tests.http_server import LoopbackServer, QuietHandler
from tests.processes import PROJECT
from worker.adapters.notifications.content import Content, content_of
from worker.adapters.notifications.destination import destination_of
from worker.adapters.notifications.folding import Folding
from worker.adapters.notifications.lane import Delivery
from worker.adapters.notifications.notifier import MOST_WAITING, Attempt, Notifier
from worker.adapters.notifications.plain import is_acceptable, post_json
from worker.adapters.notifications.rendering import as_json
from worker.adapters.notifications.services import Unfit
from worker.ports import Notice
from worker.targets.recipients import Recipient

NOTICE = Notice("updated", "docker.io/acme/shop:v2", "web/shop", "healthy for 30 s")
SECRET_PATH = "/services/T000/B000/s3cret-of-the-hook"
PATIENCE = 60
"""Seconds: more than anything here takes, on any machine."""


def nth(number: int) -> Notice:
    """One of many notices, none of which repeats another."""
    return replace(NOTICE, target=f"web/shop-{number}")


class Chat:
    """What was posted, and what to answer."""

    def __init__(self) -> None:
        self.posted: Queue[dict[str, Any]] = Queue()
        self.status = 200
        self.open = threading.Event()
        self.open.set()
        self.url = ""

    def next(self) -> dict[str, Any]:
        return self.posted.get(timeout=PATIENCE)


@pytest.fixture
def chat() -> Iterator[Chat]:
    chat = Chat()

    class Handler(QuietHandler):
        def serve(self) -> None:
            body = json.loads(self.read_body())
            chat.posted.put({"path": self.path, "type": self.headers["Content-Type"], **body})
            chat.open.wait(PATIENCE)
            self.answer(chat.status, {"Location": "http://127.0.0.1:1/elsewhere"})

    with LoopbackServer(Handler) as server:
        chat.url = f"{server.url}{SECRET_PATH}"
        yield chat
        chat.open.set()


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Everything that reaches the log, down to DEBUG. pytest's own capture also sees what is kept from it."""
    lines: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler, root = Keeping(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel("DEBUG")
    yield lines
    root.setLevel(level)
    root.removeHandler(handler)


def notifier_of(*recipients: str | Recipient, **more: Any) -> Notifier:
    """A notifier of these recipients; a text is one without any wishes, whose source is the URL itself."""
    fixed = [Recipient(recipient) if isinstance(recipient, str) else recipient for recipient in recipients]
    return Notifier(lambda: fixed, **more)


def broken_source(*_: object) -> Any:
    raise RemoteError("secrets", None, "SecretUnavailable", "the secret can't be read")


def nobody_listens() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}{SECRET_PATH}"


class TestDelivery:
    def test_a_notice_is_posted_to_every_recipient(self, chat: Chat) -> None:
        notifier = notifier_of(chat.url, f"{chat.url}-2")
        notifier.tell(NOTICE)
        notifier.close(PATIENCE)
        posted = {item["path"]: item for item in (chat.next(), chat.next())}
        assert posted.keys() == {SECRET_PATH, f"{SECRET_PATH}-2"}
        first = posted[SECRET_PATH]
        assert first["type"] == "application/json"
        assert first["text"] == "✅ updated: docker.io/acme/shop:v2 on web/shop: healthy for 30 s"
        assert first["target"] == "web/shop"

    def test_known_secrets_are_masked(self, chat: Chat) -> None:
        notifier = notifier_of(chat.url, hide=Redaction(["hunter2-hunter2"]).text)
        notifier.tell(Notice("rolled-back", "a/b:v1", "rg/b", "it said hunter2-hunter2"))
        notifier.close(PATIENCE)
        posted = chat.next()
        assert posted["detail"] == "it said ***"
        assert "hunter2" not in str(posted)

    def test_each_recipient_gets_only_the_outcomes_that_it_asked_for(self, chat: Chat) -> None:
        failures = Recipient(f"{chat.url}/failures", frozenset({"failed"}))
        batch = Recipient(f"{chat.url}/batch", groups=("batch/*",))
        notifier = notifier_of(failures, batch)
        for outcome, target in (("updated", "web/a"), ("failed", "web/a"), ("updated", "batch/b"), ("failed", "")):
            notifier.tell(Notice(outcome, "a/b:v1", target, ""))  # type: ignore[arg-type]
        notifier.close(PATIENCE)
        posted = [chat.posted.get_nowait() for _ in range(chat.posted.qsize())]
        got = {(item["path"].rpartition("/")[2], item["outcome"], item["target"]) for item in posted}
        assert got == {("failures", "failed", "web/a"), ("failures", "failed", ""), ("batch", "updated", "batch/b")}
        assert len(posted) == 3

    def test_repeated_ones_are_folded_and_told_at_the_end_at_the_latest(self, chat: Chat) -> None:
        notifier = notifier_of(chat.url)
        for tag in range(2, 6):
            notifier.tell(Notice("failed", f"a/b:v{tag}", "web/shop", "it crashed", code="CrashLoop"))
        notifier.close(PATIENCE)
        first, rest = chat.next(), chat.next()
        assert (first["image"], first["repeated"]) == ("a/b:v2", 0)
        assert (rest["image"], rest["repeated"]) == ("a/b:v5", 3)
        assert rest["text"].startswith("❌ failed, 3 more times: a/b:v5 on web/shop")
        assert chat.posted.empty()

    def test_folded_ones_are_told_by_themselves_once_their_time_has_come(self, chat: Chat) -> None:
        notifier = notifier_of(chat.url, folding=Folding(first=0.2))
        failed = Notice("failed", "a/b:v2", "web/shop", "it crashed", code="CrashLoop")
        notifier.tell(failed)
        notifier.tell(failed)
        assert [chat.next()["repeated"] for _ in range(2)] == [0, 1]
        notifier.close(PATIENCE)

    def test_the_body_of_the_answer_is_not_read(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def answer() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
                    connection.recv(65536)

            thread = threading.Thread(target=answer, daemon=True)
            thread.start()
            assert post_json(f"http://127.0.0.1:{listener.getsockname()[1]}/", {"text": "hello"}) == 200
            thread.join(PATIENCE)
            assert not thread.is_alive()


class TestUrls:
    @pytest.mark.parametrize(
        ("url", "acceptable"),
        [
            ("https://ops.example.com/hook", True),
            ("http://127.0.0.1:8080/x", True),
            ("http://chat/x", True),
            ("http://ops.example.com/x", False),
            ("http://hooks.slack.com/services/T/B/x", False),
            ("ftp://chat/x", False),
            ("http:///x", False),
            ("hooks.slack.com/services", False),
            ("https://[::bad/x", False),
            ("", False),
        ],
    )
    def test_only_https_is_posted_to(self, url: str, acceptable: bool) -> None:
        assert is_acceptable(url) is acceptable

    @pytest.mark.parametrize(
        ("url", "name"),
        [
            ("https://ops.example.com/hook", "plain JSON"),
            ("HTTPS://ops.example.com/hook", "plain JSON"),
            ("https://ops.example.com/notify/discord.com/api/webhooks/1/2", "plain JSON"),
            ("http://chat/x", "plain JSON"),
            ("https://hooks.slack.com/services/T000AAA/B000BBB/abcDEF123456", "Slack"),
            ("https://hooks.slack.com/triggers/T000AAA/123/abcDEF", "Slack"),
            ("https://discord.com/api/webhooks/123456/abc-DEF", "Discord"),
            ("https://discordapp.com/api/webhooks/123456/abc-DEF", "Discord"),
            ("https://canary.discord.com/api/v10/webhooks/123456/abc-DEF", "Discord"),
            ("https://chat.googleapis.com/v1/spaces/AAA/messages?key=K12&token=T12", "Google Chat"),
            (
                "https://prod-12.westeurope.logic.azure.com:443/workflows/643e69/triggers/manual/paths/invoke"
                "?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=KODu-x_y",
                "Power Automate / Workflows (for MSTeams)",
            ),
            (
                "https://prod-1.usgovvirginia.logic.azure.us/workflows/643e69/triggers/manual/paths/invoke?sig=KODu",
                "Power Automate / Workflows (for MSTeams)",
            ),
            (
                "https://default12.e1.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows"
                "/0f/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=KODu-x_y",
                "Power Automate / Workflows (for MSTeams)",
            ),
            ("https://ntfy.sh/alerts", "ntfy"),
            ("ntfys://ntfy.example.com/alerts", "ntfy"),
            ("mailtos://user:pass@smtp.example.com?from=a@example.com&to=b@example.com", "E-Mail"),
            ("mailto://relay.example.com?from=a@example.com&to=b@example.com", "E-Mail"),
            ("mailto://user:pass@gmail.com", "E-Mail"),
            ("ntfy://localhost:8080/alerts", "ntfy"),
            (
                "json+https://prod-12.westeurope.logic.azure.com/workflows/6/triggers/manual/paths/invoke?sig=K",
                "plain JSON",
            ),
        ],
    )
    def test_where_a_url_leads(self, url: str, name: str) -> None:
        assert destination_of(url).name == name

    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("s3cret", "not a URL"),
            ("", "not a URL"),
            ("http://ops.example.com/s3cret", "not https"),
            ("http://hooks.slack.com/services/T000AAA/B000BBB/s3cret", "not https"),
            ("json+http://ops.example.com/s3cret", "not https"),
            ("slak://s3cret/b/c", "did you mean slack://?"),
            ("s3cret://a/b/c", "no service has such a URL"),
            ("slack://s3cret", "not a complete URL of Slack"),
            ("ntfy://ntfy.example.com/s3cret", "write ntfys://"),
            ("mailto://user:s3cret@smtp.example.com?to=b@example.com", "write mailtos://"),
            ("discord://", "not a complete URL of Discord"),
        ],
    )
    def test_a_url_that_leads_nowhere_says_why_and_is_not_repeated(self, url: str, why: str) -> None:
        with pytest.raises(Unfit) as caught:
            destination_of(url)
        assert why in str(caught.value)
        assert "s3cret" not in str(caught.value)

    def test_every_url_of_the_documentation_leads_where_it_says(self) -> None:
        page = (PROJECT / "docs" / "notifications.md").read_text(encoding="utf-8")
        table = page.partition("## Where a URL leads")[2].partition("\n- ")[0]
        found: dict[str, set[str]] = {}
        for row in table.splitlines():
            service = row.split("|")[1].strip() if row.startswith("|") else ""
            for url in re.findall(r"`(\w+://[^`]+)`", row):
                found.setdefault(destination_of(url).name, set()).add(service)
        assert found == {
            "Power Automate / Workflows (for MSTeams)": {"Microsoft Teams"},
            "Slack": {"Slack"},
            "Discord": {"Discord"},
            "Google Chat": {"Google Chat"},
            "E-Mail": {"e-mail", "e-mail by a relay within your network"},
            "ntfy": {"ntfy"},
            "plain JSON": {"plain JSON"},
        }

    def test_the_fields_of_the_documentation_are_those_that_are_posted(self) -> None:
        page = (PROJECT / "docs" / "notifications.md").read_text(encoding="utf-8")
        documented = json.loads(page.partition("## Plain JSON")[2].partition("```json")[2].partition("```")[0])
        assert documented.keys() == as_json(content_of(NOTICE)).keys()

    def test_apprise_is_imported_for_the_first_url_and_not_before(self) -> None:
        code = (
            "import sys, worker.wiring.wire, worker.commands.check\n"
            "from worker.adapters.notifications.notifier import Notifier\n"
            "Notifier(list).close()\n"
            "print('apprise' in sys.modules)"
        )
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=True)
        assert ran.stdout.strip() == "False"


class TestTrouble:
    @pytest.mark.parametrize(
        ("read", "url", "why"),
        [
            (broken_source, "", "the secret can't be read"),
            (str, nobody_listens, "ConnectError"),
            (str, "http://ops.example.com/s3cret", "it is not https"),
        ],
    )
    def test_a_failure_is_one_warning_and_no_more(
        self, read: Callable[[str], str], url: str | Callable[[], str], why: str
    ) -> None:
        with capture_logs() as logs:
            notifier = notifier_of(url() if callable(url) else url, read=read)
            for number in range(3):
                notifier.tell(nth(number))
            notifier.close(PATIENCE)
        assert [(line["log_level"], line["source"], line["why"]) for line in logs] == [("warning", "notify[0]", why)]
        assert "s3cret" not in str(logs)

    def test_after_a_failure_it_is_said_when_all_is_well_again(self, chat: Chat) -> None:
        chat.status = 500
        with capture_logs() as logs:
            notifier = notifier_of(chat.url)
            for number in range(2):
                notifier.tell(nth(number))
                chat.next()
            _wait_for(logs, 1)
            chat.status = 200
            notifier.tell(nth(3))
            notifier.close(PATIENCE)
        assert [(line["event"], line.get("why"), line.get("lost")) for line in logs] == [
            ("notification not delivered", "answered 500", None),
            ("notifications are delivered again", None, 2),
        ]

    def test_a_targets_file_that_can_not_be_read_is_a_warning(self, chat: Chat) -> None:
        answers = iter([broken_source, lambda: [Recipient(chat.url)]])
        with capture_logs() as logs:
            notifier = Notifier(lambda: next(answers)())
            notifier.tell(nth(1))
            _wait_for(logs, 1)
            notifier.tell(nth(2))
            assert chat.next()["target"] == "web/shop-2"
            notifier.close(PATIENCE)
        assert [(line["event"], line["why"]) for line in logs] == [("notification not delivered", "RemoteError")]

    def test_a_source_that_can_not_be_read_keeps_nothing_from_the_others(self, chat: Chat) -> None:
        def read(source: str) -> str:
            return chat.url if source == "env:CHAT" else str(broken_source())

        with capture_logs() as logs:
            notifier = notifier_of("env:CHAT", "env:NONE", "env:CHAT", read=read)
            notifier.tell(NOTICE)
            notifier.close(PATIENCE)
        assert chat.posted.qsize() == 2
        assert [(line["source"], line["why"]) for line in logs] == [("notify[1]", "the secret can't be read")]

    @pytest.mark.parametrize("status", [302, 404, 429, 500])
    def test_a_refusal_is_a_warning_and_not_followed(self, chat: Chat, status: int) -> None:
        chat.status = status
        with capture_logs() as logs:
            notifier = notifier_of(chat.url)
            notifier.tell(NOTICE)
            notifier.close(PATIENCE)
        assert [line["why"] for line in logs] == [f"answered {status}"]

    def test_a_url_is_in_no_log(self, chat: Chat, logged: list[str], capfd: pytest.CaptureFixture[str]) -> None:
        chat.status = 500
        services = [chat.url.replace("http://", f"{schema}://") for schema in ("json", "form", "xml")]
        topic = chat.url.replace("http://", "ntfy://").replace(SECRET_PATH, "/s3cret")
        wrong = "slack://s3cret", "ntfy://a.example/s3cret"
        notifier = notifier_of(chat.url, nobody_listens(), *services, topic, *wrong)
        notifier.tell(NOTICE)
        notifier.close(PATIENCE)
        assert "s3cret" not in "".join(logged) + "".join(capfd.readouterr())
        assert chat.posted.qsize() >= 3

    @pytest.mark.parametrize("name", ["notify", "notify notify[0]", "deliver"])
    def test_a_machine_without_threads_fails_nobody_and_ends_nothing(
        self, chat: Chat, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        start, refused = threading.Thread.start, threading.Event()

        def refuse(thread: threading.Thread) -> None:
            if thread.name == name and not refused.is_set():
                refused.set()
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", refuse)
        notifier = notifier_of(chat.url)
        notifier.tell(nth(1))
        assert refused.wait(PATIENCE)
        notifier.tell(nth(2))
        told = [chat.next()["target"] for _ in range(1 if name == "deliver" else 2)]
        assert told == ["web/shop-1", "web/shop-2"][-len(told) :]
        notifier.close()

    def test_a_notice_that_cannot_be_rendered_keeps_no_other_from_being_told(self, chat: Chat) -> None:
        def hide(text: str) -> str:
            return text if text != "web/shop-1" else str(1 / 0)

        notifier = notifier_of(chat.url, hide=hide)
        with capture_logs() as lines:
            for number in (1, 2):
                notifier.tell(nth(number))
            assert chat.next()["target"] == "web/shop-2"
            notifier.close()
        assert [line["why"] for line in lines] == ["ZeroDivisionError"]


class TestSlowness:
    def test_a_slow_chat_delays_nobody_and_what_is_too_much_is_dropped(self, chat: Chat) -> None:
        chat.open.clear()
        with capture_logs() as logs:
            notifier = notifier_of(chat.url, capacity=3)
            notifier.tell(nth(0))
            chat.next()
            for number in range(1, 6):
                notifier.tell(nth(number))  # returns at once: the chat answers only after all of them
            _wait_for(logs, 1)
            assert [(line["event"], line["why"]) for line in logs] == [("notification not delivered", "too many wait")]
            chat.open.set()
            assert [chat.next()["target"] for _ in range(3)] == ["web/shop-1", "web/shop-2", "web/shop-3"]
            notifier.close(PATIENCE)

    def test_a_chat_that_hangs_holds_up_no_other_one(self, chat: Chat) -> None:
        hanging = Hanging()
        notifier = notifier_of(
            "hanging", chat.url, find=lambda url: hanging if url == "hanging" else destination_of(url)
        )
        for number in range(3):
            notifier.tell(nth(number))
        assert [chat.next()["target"] for _ in range(3)] == ["web/shop-0", "web/shop-1", "web/shop-2"]
        assert hanging.taken.qsize() <= 1
        hanging.open.set()
        notifier.close(PATIENCE)
        assert hanging.taken.qsize() == 3

    def test_closing_waits_a_while_and_no_longer(self, chat: Chat) -> None:
        chat.open.clear()
        notifier = notifier_of(chat.url)
        with capture_logs() as logs:
            notifier.tell(nth(0))
            chat.next()
            notifier.tell(nth(1))
            notifier.close(0.1)  # the chat has answered nothing yet
            notifier.tell(nth(2))
            notifier.tell(nth(3))
        assert [line["event"] for line in logs] == ["notifications dropped at shutdown", "notification dropped"]

    def test_closing_posts_what_waits(self, chat: Chat) -> None:
        notifier = notifier_of(chat.url)
        for number in range(20):
            notifier.tell(nth(number))
        notifier.close(PATIENCE)
        assert chat.posted.qsize() == 20

    def test_closing_what_was_never_used_needs_nobody(self) -> None:
        notifier = Notifier(broken_source)
        notifier.close()
        notifier.close()

    def test_a_targets_file_that_hangs_holds_up_nobody(self) -> None:
        asked, hangs = threading.Event(), threading.Event()

        def slow() -> list[Recipient]:
            asked.set()
            hangs.wait(PATIENCE)
            return []

        with capture_logs() as logs:
            notifier = Notifier(slow)
            notifier.tell(NOTICE)
            assert asked.wait(PATIENCE)
            for number in range(MOST_WAITING + 9):
                notifier.tell(nth(number))
                # Regression: a minor one in between made the next drop a new trouble.
                notifier.tell(replace(NOTICE, outcome="ignored"))
            hangs.set()
            notifier.close(PATIENCE)
        assert [line["event"] for line in logs] == ["notification dropped"]

    def test_what_few_want_to_know_crowds_out_nothing_else(self, chat: Chat) -> None:
        asked, hangs = threading.Event(), threading.Event()

        def slow() -> list[Recipient]:
            asked.set()
            hangs.wait(PATIENCE)
            return [Recipient(chat.url)]

        with capture_logs() as logs:
            notifier = Notifier(slow)
            notifier.tell(replace(NOTICE, outcome="ignored"))
            assert asked.wait(PATIENCE)
            for number in range(2 * MOST_WAITING):
                notifier.tell(replace(nth(number), outcome="ignored"))
            notifier.tell(NOTICE)
            hangs.set()
            notifier.close(PATIENCE)
        assert [line["event"] for line in logs] == []
        assert chat.next()["outcome"] == "updated"


class Hanging:
    """A destination that answers only when it is told to."""

    name = "hanging"

    def __init__(self) -> None:
        self.open = threading.Event()
        self.taken: Queue[str] = Queue()

    def send(self, content: Content) -> str | None:
        self.taken.put(content.title)
        self.open.wait(PATIENCE)
        return None


def test_a_delivery_that_hangs_is_left_behind_and_only_a_few_are() -> None:
    hanging = Hanging()
    delivery = Delivery("env:A", str, 0.05, lambda _url: hanging)
    content = content_of(NOTICE)
    assert [delivery.send(content) for _ in range(5)] == [
        *["no answer within 0.05 s"] * 3,
        *["3 deliveries before it still wait for an answer"] * 2,
    ]
    assert hanging.taken.qsize() == 3
    hanging.open.set()


class TestTryingEach:
    def test_each_recipient_is_told_whatever_they_want_to_be_told(self, chat: Chat) -> None:
        failures = Recipient(chat.url, frozenset({"failed"}), ("batch/*",))
        results = notifier_of(failures, "slak://s3cret", nobody_listens()).try_each(NOTICE)
        assert results == [
            Attempt("notify[0]", "plain JSON", None),
            Attempt("notify[1]", None, "no service has such a URL; did you mean slack://?"),
            Attempt("notify[2]", "plain JSON", "ConnectError"),
        ]
        assert chat.next()["outcome"] == "updated"

    def test_one_that_hangs_is_told_of_in_time(self) -> None:
        hanging = Hanging()
        notifier = notifier_of("https://a.example/x", find=lambda _url: hanging, limit=0.05)
        assert [result.problem for result in notifier.try_each(NOTICE)] == ["no answer within 0.05 s"]
        hanging.open.set()


def _wait_for(logs: list[Any], count: int) -> None:
    """Wait until so many lines were logged."""
    deadline = datetime.now(UTC).timestamp() + PATIENCE
    while len(logs) < count:
        assert datetime.now(UTC).timestamp() < deadline, logs
        threading.Event().wait(0.01)
