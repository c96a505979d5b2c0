"""The notifier, posting to a real HTTP server on loopback, and to ones that are slow, broken or not there."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.errors import RemoteError
from shared.telemetry import Redaction
from worker.adapters.notifications import Notifier, is_acceptable, post_json, render
from worker.ports import Notice

NOTICE = Notice("updated", "docker.io/acme/shop:v2", "web/shop", "healthy for 30 s")
SECRET_PATH = "/services/T000/B000/s3cret-of-the-hook"


class Chat:
    """What was posted, and what to answer."""

    def __init__(self) -> None:
        self.posted: Queue[dict[str, Any]] = Queue()
        self.status = 200
        self.open = threading.Event()
        self.open.set()
        self.url = ""

    def next(self) -> dict[str, Any]:
        return self.posted.get(timeout=10)


@pytest.fixture
def chat() -> Iterator[Chat]:
    chat = Chat()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            chat.posted.put({"path": self.path, "type": self.headers["Content-Type"], **body})
            chat.open.wait(10)
            self.send_response(chat.status)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    chat.url = f"http://127.0.0.1:{server.server_port}{SECRET_PATH}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield chat
    chat.open.set()
    server.shutdown()
    server.server_close()


def test_a_notice_is_posted_to_every_url(chat: Chat) -> None:
    notifier = Notifier(lambda: [chat.url, chat.url + "-2"])
    notifier.tell(NOTICE)
    notifier.close()
    first, second = chat.next(), chat.next()
    assert first == {
        "path": SECRET_PATH,
        "type": "application/json",
        "text": "✅ updated: docker.io/acme/shop:v2 on web/shop: healthy for 30 s",
        "outcome": "updated",
        "image": "docker.io/acme/shop:v2",
        "target": "web/shop",
        "detail": "healthy for 30 s",
    }
    assert second["path"] == f"{SECRET_PATH}-2"


def test_what_others_wrote_calls_nobody() -> None:
    body = render(Notice("failed", "ghcr.io/a/b:v1", "rg/<b>", "<!channel> & co" + "x" * 9000))
    assert body["text"].startswith("❌ failed: ghcr.io/a/b:v1 on rg/&lt;b&gt;: &lt;!channel&gt; &amp; co")
    assert body["detail"].startswith("<!channel> & co")
    assert len(body["text"]) < 3200


def test_known_secrets_are_masked(chat: Chat) -> None:
    hide = Redaction(["hunter2-hunter2"]).text
    notifier = Notifier(lambda: [chat.url], hide=hide)
    notifier.tell(Notice("rolled-back", "a/b:v1", "rg/b", "it said hunter2-hunter2"))
    notifier.close()
    posted = chat.next()
    assert posted["detail"] == "it said ***"
    assert "hunter2" not in str(posted)


@pytest.mark.parametrize(
    ("url", "acceptable"),
    [
        ("https://hooks.slack.com/services/T/B/x", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://chat/x", True),
        ("http://hooks.slack.com/services/T/B/x", False),
        ("ftp://chat/x", False),
        ("http:///x", False),
        ("hooks.slack.com/services", False),
        ("https://[::bad/x", False),
        ("", False),
    ],
)
def test_only_https_is_posted_to(url: str, acceptable: bool) -> None:
    assert is_acceptable(url) is acceptable
    posted: list[str] = []

    def post(url: str, body: Mapping[str, str]) -> int:
        posted.append(url)
        return 200

    with capture_logs() as logs:
        notifier = Notifier(lambda: [url], post)
        notifier.tell(NOTICE)
        notifier.close()
    assert posted == ([url] if acceptable else [])
    assert [line["why"] for line in logs] == ([] if acceptable else ["it is not https"])


def broken_source() -> list[str]:
    raise RemoteError("secrets", None, "SecretUnavailable", "the secret can't be read")


def nobody_listens() -> list[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return [f"http://127.0.0.1:{listener.getsockname()[1]}{SECRET_PATH}"]


@pytest.mark.parametrize(
    ("urls", "why"), [(broken_source, "the secret can't be read"), (nobody_listens, "ConnectError")]
)
def test_a_failure_is_a_warning_and_no_more(urls: Callable[[], list[str]], why: str) -> None:
    with capture_logs() as logs:
        notifier = Notifier(urls)
        notifier.tell(NOTICE)
        notifier.tell(NOTICE)
        notifier.close()
    assert [(line["log_level"], line["why"]) for line in logs] == [("warning", why)] * 2
    assert "s3cret" not in str(logs)


def test_a_source_that_can_not_be_read_is_named_and_keeps_nothing_from_the_others(chat: Chat) -> None:
    def read(source: str) -> str:
        return chat.url if source == "env:CHAT" else broken_source()[0]

    with capture_logs() as logs:
        notifier = Notifier(lambda: ["env:CHAT", "env:NONE", "env:CHAT"], read=read)
        notifier.tell(NOTICE)
        notifier.close()
    assert chat.posted.qsize() == 2
    assert [(line["source"], line["why"]) for line in logs] == [("notify[1]", "the secret can't be read")]


@pytest.mark.parametrize("status", [302, 404, 429, 500])
def test_a_refusal_is_a_warning_and_not_followed(chat: Chat, status: int) -> None:
    chat.status = status
    with capture_logs() as logs:
        notifier = Notifier(lambda: [chat.url])
        notifier.tell(NOTICE)
        notifier.close()
    assert [line["why"] for line in logs] == [f"answered {status}"]


def test_a_url_is_in_no_log(chat: Chat, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level("DEBUG")
    chat.status = 500
    notifier = Notifier(lambda: [chat.url, *nobody_listens()])
    notifier.tell(NOTICE)
    notifier.close()
    assert chat.next()["path"] == SECRET_PATH
    assert "s3cret" not in caplog.text + "".join(capfd.readouterr())


def test_a_slow_chat_delays_nobody_and_what_is_too_much_is_dropped(chat: Chat) -> None:
    chat.open.clear()
    with capture_logs() as logs:
        notifier = Notifier(lambda: [chat.url], capacity=3)
        notifier.tell(NOTICE)
        chat.next()
        for _ in range(5):
            notifier.tell(NOTICE)  # returns at once: the chat answers only after all of them
        assert [line["event"] for line in logs] == ["notification dropped"] * 2
        chat.open.set()
        for _ in range(3):
            chat.next()
        notifier.close()


def test_closing_waits_a_while_and_no_longer(chat: Chat) -> None:
    chat.open.clear()
    notifier = Notifier(lambda: [chat.url])
    with capture_logs() as logs:
        notifier.tell(NOTICE)
        chat.next()
        notifier.tell(NOTICE)
        notifier.close(0.1)  # the chat has answered nothing yet
        notifier.tell(NOTICE)
    assert [line["event"] for line in logs] == ["notifications dropped at shutdown", "notification dropped"]


def test_closing_posts_what_waits(chat: Chat) -> None:
    notifier = Notifier(lambda: [chat.url])
    for _ in range(20):
        notifier.tell(NOTICE)
    notifier.close(10)
    assert chat.posted.qsize() == 20


def test_closing_what_was_never_used_takes_no_time() -> None:
    notifier = Notifier(broken_source)
    notifier.close()
    notifier.close()


def test_the_body_of_the_answer_is_not_read() -> None:
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
        thread.join(10)
        assert not thread.is_alive()
