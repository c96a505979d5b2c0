"""What each service gets: its own form, at the place that its URL names, seen by servers that stand in for it."""

from __future__ import annotations

import email
import email.policy
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.message import TargetId
from tests.listener import Listener
from tests.service_hosts import Request, ServiceHosts, service_hosts
from tests.stub_server import listening
from worker.adapters.notifications import plain
from worker.adapters.notifications.notifier import Notifier
from worker.ports import Notice
from worker.targets.recipients import Recipient

PATIENCE = 60
PORTAL = (
    "https://portal.azure.com/#resource/subscriptions/0000/resourceGroups/web/providers/"
    "Microsoft.ContainerInstance/containerGroups/shop/overview"
)
NOTICE = Notice(
    "rolled-back",
    "docker.io/acme/my_shop:v2",
    "web/shop",
    "last exit code 1 <!channel> @everyone <at>bob</at> <users/all>",
    group=TargetId(subscription="0000", resource_group="web", container_group="shop"),
    id="p1",
    at=datetime(2026, 11, 27, 12, tzinfo=UTC),
    code="CrashLoop",
    digest=f"sha256:{'a' * 64}",
    containers=("web",),
    before={"web": f"docker.io/acme/my_shop:v1@sha256:{'b' * 64}"},
    pusher="alice",
    seconds=125,
    log='File "<stdin>", line 1\nKeyError: DB_URL',
)
TITLE = "↩️ rolled-back: docker.io/acme/my_shop:v2 on web/shop"
SAID = [
    "web/shop (web)",
    "docker.io/acme/my_shop:v2 (sha256:aaaaaaaaaaaa)",
    "docker.io/acme/my_shop:v1 (sha256:bbbbbbbbbbbb)",
    "last exit code 1",
    "(CrashLoop)",
    "alice",
    "2 min 5 s",
    "push a good image",
    PORTAL,
    "KeyError: DB_URL",
]
TEAMS = (
    "https://default12.e1.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/0fab"
    "/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=KODu-x_y"
)
SLACK = "https://hooks.slack.com/services/T000AAA/B000BBB/s3cretDEF123456"
DISCORD = "https://discord.com/api/webhooks/123456/s3cret-DEF"
GOOGLE_CHAT = "https://chat.googleapis.com/v1/spaces/AAAA/messages?key=K123&token=s3cret"


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceHosts]:
    with service_hosts(tmp_path) as hosts:
        for name, value in hosts.environment.items():
            monkeypatch.setenv(name, value)
        plain._client.cache_clear()  # it has read the environment of another test
        yield hosts
    plain._client.cache_clear()


def tell(*urls: str, notice: Notice = NOTICE) -> list[str]:
    """Tell these, and return why some did not get it, as the log has it."""
    with capture_logs() as logs:
        notifier = Notifier(lambda: [Recipient(url) for url in urls])
        notifier.tell(notice)
        notifier.close(PATIENCE)
    return [line["why"] for line in logs]


def got(hosts: ServiceHosts, url: str, notice: Notice = NOTICE) -> Request:
    """What the service of this URL got."""
    assert tell(url, notice=notice) == []
    request = hosts.next()
    assert hosts.requests.empty()
    return request


def says_all(text: str) -> None:
    """Does it say everything, and call nobody?"""
    assert [part for part in SAID if part not in text] == []
    assert re.search(r"<[!@u]|<at>|@everyone", text) is None


class TestTeams:
    @pytest.mark.parametrize(
        ("url", "host", "path"),
        [
            (
                TEAMS,
                "default12.e1.environment.api.powerplatform.com",
                "/powerautomate/automations/direct/workflows/0fab",
            ),
            (
                "https://prod-12.westeurope.logic.azure.com:443/workflows/0fab/triggers/manual/paths/invoke"
                "?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=KODu-x_y",
                "prod-12.westeurope.logic.azure.com",
                "/workflows/0fab",
            ),
            (
                "workflows://prod-12.westeurope.logic.azure.com:443/0fab/KODu-x_y",
                "prod-12.westeurope.logic.azure.com",
                "/workflows/0fab",
            ),
        ],
    )
    def test_a_workflow_gets_an_adaptive_card(self, hosts: ServiceHosts, url: str, host: str, path: str) -> None:
        # learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
        request = got(hosts, url)
        assert (request.host, request.path) == (host, f"{path}/triggers/manual/paths/invoke")
        assert request.query["sig"] == ["KODu-x_y"]
        assert request.headers["Content-Type"] == "application/json"
        assert request.json["type"] == "message"
        (attachment,) = request.json["attachments"]
        assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        card = attachment["content"]
        assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
        title, body = card["body"]
        assert (title["type"], title["text"]) == ("TextBlock", TITLE)
        assert (body["type"], body["wrap"]) == ("TextBlock", True)
        says_all(body["text"])
        assert f"- [Azure portal]({PORTAL})" in body["text"]
        assert "```" not in body["text"]
        assert "entities" not in card["msteams"]


class TestSlack:
    def test_an_incoming_webhook_gets_an_attachment(self, hosts: ServiceHosts) -> None:
        # docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
        request = got(hosts, SLACK)
        assert (request.host, request.path) == ("hooks.slack.com", "/services/T000AAA/B000BBB/s3cretDEF123456")
        (attachment,) = request.json["attachments"]
        assert attachment["title"] == TITLE
        assert re.fullmatch("#[0-9A-F]{6}", attachment["color"])
        says_all(attachment["text"])
        assert "icon_url" not in request.json

    def test_blocks_where_the_url_asks_for_them(self, hosts: ServiceHosts) -> None:
        # docs.slack.dev/reference/block-kit/blocks
        request = got(hosts, "slack://T000AAA/B000BBB/abcDEF123456?blocks=yes")
        header, section, *_ = request.json["attachments"][0]["blocks"]
        assert (header["type"], header["text"]["text"]) == ("header", TITLE)
        assert (section["type"], section["text"]["type"]) == ("section", "plain_text")
        says_all(section["text"]["text"])

    def test_a_workflow_trigger_gets_its_variable(self, hosts: ServiceHosts) -> None:
        request = got(hosts, "https://hooks.slack.com/triggers/T000AAA/123/abcDEF")
        assert request.path == "/triggers/T000AAA/123/abcDEF"
        says_all(request.json["text"])


class TestDiscord:
    @pytest.mark.parametrize("url", [DISCORD, DISCORD.replace("https://", "https://ptb.")])
    def test_a_webhook_gets_its_content(self, hosts: ServiceHosts, url: str) -> None:
        # docs.discord.com/developers/resources/webhook#execute-webhook
        hosts.answer = "204 No Content"
        request = got(hosts, url)
        assert (request.host, request.path) == ("discord.com", "/api/webhooks/123456/s3cret-DEF")
        content = request.json["content"]
        assert content.startswith(f"**{TITLE}**")
        says_all(content)
        assert len(content) <= 2000
        assert "avatar_url" not in request.json

    def test_a_long_log_is_cut_to_what_discord_takes(self, hosts: ServiceHosts) -> None:
        lines = "\n".join(f"<line {number}>" for number in range(200))
        request = got(hosts, DISCORD, Notice("failed", "a/b:v1", "web/shop", "x" * 900, log=lines))
        content = request.json["content"]
        assert len(content) <= 2000
        assert content.endswith("line 199\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}\n```")


class TestGoogleChat:
    def test_a_webhook_gets_a_text(self, hosts: ServiceHosts) -> None:
        # developers.google.com/workspace/chat/quickstart/webhooks
        request = got(hosts, GOOGLE_CHAT)
        assert (request.host, request.path) == ("chat.googleapis.com", "/v1/spaces/AAAA/messages")
        assert (request.query["key"], request.query["token"]) == (["K123"], ["s3cret"])
        assert request.json.keys() == {"text"}
        text = request.json["text"]
        assert text.startswith(f"*{TITLE}*\n- *Group:* ")
        assert f"<{PORTAL}|Azure portal>" in text
        says_all(text)


class TestNtfy:
    @staticmethod
    def check(body: Any) -> None:
        # docs.ntfy.sh/publish/#publish-as-json
        assert (body["topic"], body["title"]) == ("alerts", TITLE)
        says_all(body["message"])

    @pytest.mark.parametrize("url", ["https://ntfy.sh/alerts", "ntfys://alerts"])
    def test_a_topic_of_the_public_server_gets_json(self, hosts: ServiceHosts, url: str) -> None:
        request = got(hosts, url)
        assert request.host == "ntfy.sh"
        self.check(request.json)

    def test_a_server_of_ones_own_with_a_token(self, hosts: ServiceHosts) -> None:
        request = got(hosts, "ntfys://tk_s3cret@ntfy.example.com/alerts")
        assert (request.host, request.headers["Authorization"]) == ("ntfy.example.com", "Bearer tk_s3cret")
        self.check(request.json)

    def test_a_server_on_this_machine(self) -> None:
        with listening() as (host, posted):
            assert tell(f"ntfy://{host}/alerts") == []
        (body,) = posted
        self.check(body)


class Mailbox:
    """An SMTP server on loopback, which takes every mail."""

    def __init__(self) -> None:
        self.mails: Queue[tuple[list[str], EmailMessage]] = Queue()
        self._listener = Listener(self._connected)
        self.port = self._listener.port
        self.close = self._listener.close

    def _connected(self, connection: socket.socket) -> None:
        with connection.makefile("rwb", buffering=0) as stream:
            self._talk(stream)

    def _talk(self, stream: Any) -> None:
        envelope: list[str] = []
        stream.write(b"220 mailbox\r\n")
        while line := stream.readline().decode().strip():
            word = line.split(" ")[0].upper()
            if word in {"MAIL", "RCPT"}:
                envelope.append(line)
            if word == "DATA":
                stream.write(b"354 go on\r\n")
                content = b""
                while (part := stream.readline()) != b".\r\n":
                    content += part
                mail = email.message_from_bytes(content, policy=email.policy.default)
                assert isinstance(mail, EmailMessage)
                self.mails.put((envelope, mail))
            stream.write(b"221 bye\r\n" if word == "QUIT" else b"250 ok\r\n")
            if word == "QUIT":
                return


class TestMail:
    @pytest.fixture
    def mailbox(self) -> Iterator[Mailbox]:
        mailbox = Mailbox()
        yield mailbox
        mailbox.close()

    def test_a_mail_in_plain_text(self, mailbox: Mailbox) -> None:
        url = f"mailto://localhost:{mailbox.port}?smtp=127.0.0.1&from=hooks@example.com&to=ops@example.com"
        assert tell(url) == []
        envelope, mail = mailbox.mails.get(timeout=PATIENCE)
        assert [re.findall("<(.*?)>", line)[0] for line in envelope] == ["hooks@example.com", "ops@example.com"]
        assert mail["Subject"] == TITLE
        assert "hooks@example.com" in mail["From"]
        body = mail.get_body(("plain",))
        assert body is not None
        says_all(body.get_content())

    def test_a_server_that_is_down_is_told_without_its_url(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        url = f"mailto://localhost:{port}?smtp=127.0.0.1&from=a@b.example&to=s3cret@b.example"
        assert tell(url) == ["the connection was refused"]


class TestPlainJson:
    def test_plain_json_has_everything_for_programs(self, hosts: ServiceHosts) -> None:
        request = got(hosts, "https://ops.example.com/hook?key=k")
        assert (request.host, request.path, request.query) == ("ops.example.com", "/hook", {"key": ["k"]})
        assert request.json["text"].startswith(f"{TITLE}: last exit code 1 &lt;!channel&gt;")
        assert (request.json["portal"], request.json["code"]) == (PORTAL, "CrashLoop")

    def test_a_logic_app_gets_it_where_the_url_says_so(self, hosts: ServiceHosts) -> None:
        request = got(hosts, f"json+{TEAMS}")
        assert request.path.startswith("/powerautomate/")
        assert request.json["outcome"] == "rolled-back"


class TestTrouble:
    @pytest.mark.parametrize("url", [SLACK, DISCORD, GOOGLE_CHAT, TEAMS, "ntfys://tk_s3cret@ntfy.example.com/alerts"])
    @pytest.mark.parametrize("answer", ["404 Not Found", "500 Internal Server Error"])
    def test_a_refusal_is_told_by_its_status_alone(self, hosts: ServiceHosts, url: str, answer: str) -> None:
        hosts.answer = answer
        assert tell(url) == [f"answered {answer[:3]}"]

    @pytest.mark.parametrize("url", [SLACK, DISCORD, TEAMS, "jsons://ops.example.com/s3cret"])
    def test_a_redirect_is_not_followed(self, hosts: ServiceHosts, url: str) -> None:
        hosts.answer, hosts.more_headers = "307 Temporary Redirect", "Location: https://10.0.0.1/inside\r\n"
        assert tell(url) == ["answered 307"]
        assert hosts.requests.qsize() == 1

    def test_a_certificate_that_nobody_vouches_for_is_refused(
        self, hosts: ServiceHosts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        assert tell(SLACK) == ["its certificate was refused"]
        assert hosts.requests.empty()

    def test_a_proxy_that_is_down(self, hosts: ServiceHosts, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
        assert tell(SLACK) == ["the connection was refused"]


class TestConfiguration:
    def test_apprise_takes_none_from_the_environment_or_the_disk(
        self, hosts: ServiceHosts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        elsewhere = "jsons://elsewhere.example.com/"
        (tmp_path / "apprise.yml").write_text(f"urls:\n  - {elsewhere}\n", encoding="utf-8")
        (tmp_path / ".config").mkdir()
        for name in (".apprise.yml", ".config/apprise.yml"):
            (tmp_path / name).write_text(f"urls:\n  - {elsewhere}\n", encoding="utf-8")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("APPRISE_URLS", elsewhere)
        monkeypatch.setenv("APPRISE_CONFIG_PATH", str(tmp_path / "apprise.yml"))
        monkeypatch.setenv("APPRISE_TEMPLATE_HOST", "elsewhere.example.com")
        monkeypatch.chdir(tmp_path)
        before = sorted(tmp_path.rglob("*"))
        assert got(hosts, SLACK).host == "hooks.slack.com"
        new = {path.suffix for path in set(tmp_path.rglob("*")) - set(before)}
        assert new <= {".pem"}, "the certificates of the tests alone"
