"""What a notification says, and how it is written for those who read it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.message import TargetId
from shared.telemetry import Redaction
from worker.adapters.notifications.content import (
    LONGEST_LOG,
    Repeats,
    content_of,
    portal_link,
    short,
)
from worker.adapters.notifications.rendering import Body, as_card, as_html, as_json, as_markdown, as_text, fitted
from worker.ports import Notice

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
GROUP = TargetId(subscription="0000", resource_group="web(eu)", container_group="shop")
PORTAL = (
    "https://portal.azure.com/#resource/subscriptions/0000/resourceGroups/web%28eu%29/providers/"
    "Microsoft.ContainerInstance/containerGroups/shop/overview"
)
PLAIN = Notice("updated", "docker.io/acme/shop:v2", "web/shop", "healthy for 30 s")
FULL = Notice(
    "rolled-back",
    "docker.io/acme/my_shop:v2",
    "web(eu)/shop",
    "it crashed",
    group=GROUP,
    id="p1",
    at=NOON,
    code="CrashLoop",
    digest=f"sha256:{'a' * 64}",
    containers=("web", "api"),
    before={
        "web": f"docker.io/acme/my_shop:v1@sha256:{'b' * 64}",
        "api": f"docker.io/acme/my_shop:v1@sha256:{'b' * 64}",
    },
    pusher="alice",
    seconds=125,
    log="one\ntwo",
)
CALLS = "<!channel> <!here|x> @everyone @here <at>bob</at> <users/all> <@U123> [x](http://evil) *b* _i_ `c` ~s~ | a\\b"
RENDERINGS = [as_text, as_markdown, as_card, as_html]


def rows(notice: Notice, repeats: Repeats | None = None) -> dict[str, str]:
    return dict(content_of(notice, repeats=repeats).rows)


class TestContent:
    def test_a_notice_with_everything(self) -> None:
        content = content_of(FULL)
        assert content.title == "↩️ rolled-back: docker.io/acme/my_shop:v2 on web(eu)/shop"
        assert content.rows == (
            ("Group", "web(eu)/shop (web, api)"),
            ("Image", "docker.io/acme/my_shop:v2 (sha256:aaaaaaaaaaaa)"),
            ("Runs again", "docker.io/acme/my_shop:v1 (sha256:bbbbbbbbbbbb)"),
            ("Why", "it crashed (CrashLoop)"),
            ("Pushed by", "alice"),
            ("Took", "2 min 5 s"),
            ("To do", "push a good image; `redrive` tries this one again"),
            ("Push", "p1"),
        )
        assert (content.portal, content.log) == (PORTAL, "one\ntwo")

    def test_where_an_address_has_changed_it_says_what_to_do(self) -> None:
        assert "update DNS records" in rows(replace(PLAIN, outcome="address changed"))["To do"]

    def test_a_notice_with_nothing_more_says_no_more(self) -> None:
        assert rows(PLAIN) == {"Group": "web/shop", "Image": "docker.io/acme/shop:v2", "Why": "healthy for 30 s"}
        assert (content_of(PLAIN).portal, content_of(PLAIN).log) == ("", "")

    def test_a_push_that_nothing_runs_has_no_group(self) -> None:
        content = content_of(replace(PLAIN, outcome="ignored", target=""))
        assert content.title == "\N{INFORMATION SOURCE}️ ignored: docker.io/acme/shop:v2"
        assert "Group" not in dict(content.rows)

    @pytest.mark.parametrize(("outcome", "label"), [("rolled-back", "Runs again"), ("failed", "Before")])
    def test_what_ran_before_runs_again_after_a_rollback(self, outcome: str, label: str) -> None:
        notice = replace(FULL, outcome=outcome, before={"web": "acme/shop:v1"})  # type: ignore[arg-type]
        assert rows(notice)[label] == "acme/shop:v1"

    def test_what_was_done_by_hand_says_by_whom(self) -> None:
        assert rows(replace(PLAIN, by="bob"))["By hand"] == "bob"

    @pytest.mark.parametrize(("count", "words"), [(1, "1 more time"), (7, "7 more times")])
    def test_repeated_ones_say_how_many_and_since_when(self, count: int, words: str) -> None:
        repeats = Repeats(count, NOON)
        assert content_of(PLAIN, repeats=repeats).title.startswith(f"✅ updated, {words}: docker.io")
        assert rows(PLAIN, repeats)["Repeated"] == f"{count} since 2026-11-27 12:00 UTC; this is the last one"

    def test_secrets_are_hidden_before_anything_is_cut(self) -> None:
        hide = Redaction(["hunter2-hunter2"]).text
        secret = "hunter2-hunter2"
        notice = replace(
            FULL, detail=f"it said {secret}", log=f"{secret}\n" * 500, pusher=secret, before={"web": f"a/{secret}:1"}
        )
        content = content_of(notice, hide)
        assert "hunter2" not in str(content)
        assert len(content.log) <= LONGEST_LOG

    def test_control_characters_reach_nobody(self) -> None:
        content = content_of(replace(FULL, detail="a\nb\x1b[31m", log="c\x1b[0m\nd"))
        assert dict(content.rows)["Why"] == "a\\nb\\x1b[31m (CrashLoop)"
        assert content.log == "c\\x1b[0m\nd"

    @pytest.mark.parametrize(
        ("log", "kept"),
        [
            ("one\ntwo\n", "one\ntwo"),
            ("x" * 1500 + "\n" + "y" * 1500, "y" * 1500),
            ("z" * (LONGEST_LOG + 9), "z" * LONGEST_LOG),
        ],
    )
    def test_the_end_of_a_log_is_kept_in_whole_lines(self, log: str, kept: str) -> None:
        assert content_of(replace(PLAIN, log=log)).log == kept

    @pytest.mark.parametrize("host", ["portal.azure.com", "portal.azure.us", "portal.azure.cn"])
    def test_the_portal_is_that_of_the_cloud(self, host: str) -> None:
        assert portal_link(host, GROUP) == PORTAL.replace("portal.azure.com", host)

    @pytest.mark.parametrize(
        ("image", "digest", "said"),
        [
            ("a/b:v1", None, "a/b:v1"),
            ("a/b:v1", f"sha256:{'0' * 64}", "a/b:v1 (sha256:000000000000)"),
            (f"a/b@sha256:{'1' * 64}", f"sha256:{'0' * 64}", "a/b (sha256:111111111111)"),
        ],
    )
    def test_an_image_is_its_tag_and_a_short_digest(self, image: str, digest: str | None, said: str) -> None:
        assert short(image, digest) == said


class TestText:
    def test_one_row_a_line_then_the_link_and_the_log(self) -> None:
        lines = as_text(content_of(FULL)).splitlines()
        assert lines[0] == "Group: web(eu)/shop (web, api)"
        assert lines[-5:] == [f"Azure portal: {PORTAL}", "", "Last lines of the log:", "one", "two"]

    def test_without_link_and_log(self) -> None:
        assert as_text(content_of(PLAIN)).splitlines()[-1] == "Why: healthy for 30 s"


class TestMarkdown:
    def test_a_list_with_a_link_and_the_log_in_a_fence(self) -> None:
        lines = as_markdown(content_of(replace(FULL, log="a ``` b"))).splitlines()
        assert lines[0] == "- **Group:** web(eu)/shop (web, api)"
        assert lines[1] == "- **Image:** docker.io/acme/my_shop:v2 (sha256:aaaaaaaaaaaa)"
        assert f"- [Azure portal]({PORTAL})" in lines
        assert lines[-4:] == ["", "```", "a ''' b", "```"]

    def test_a_card_has_no_fence(self) -> None:
        assert as_card(content_of(replace(FULL, log="a_ *b*\nc"))).endswith("log:**\n\na\\_ \\*b\\*\n\nc")


class TestHtml:
    def test_rows_a_link_and_the_log(self) -> None:
        body = as_html(content_of(replace(FULL, detail="a < b", log="x & y")))
        assert body.startswith("<b>Group:</b> web(eu)/shop (web, api)<br/>\n<b>Image:</b> ")
        assert "<b>Why:</b> a &lt; b (CrashLoop)<br/>" in body
        assert f'<a href="{PORTAL}">Azure portal</a><br/>\n<b>Last lines of the log:</b>\n<pre>x &amp; y</pre>' in body

    def test_without_link_and_log(self) -> None:
        assert as_html(content_of(PLAIN)).endswith("<b>Why:</b> healthy for 30 s")


class TestJson:
    def test_it_keeps_the_fields_that_it_had(self) -> None:
        body = as_json(content_of(PLAIN))
        assert body["text"] == "✅ updated: docker.io/acme/shop:v2 on web/shop: healthy for 30 s"
        assert {key: body[key] for key in ("outcome", "image", "target", "detail")} == {
            "outcome": "updated",
            "image": "docker.io/acme/shop:v2",
            "target": "web/shop",
            "detail": "healthy for 30 s",
        }

    def test_it_has_everything_for_programs(self) -> None:
        body = as_json(content_of(FULL, repeats=Repeats(2, NOON)))
        assert {key: value for key, value in body.items() if key != "text"} == {
            "outcome": "rolled-back",
            "image": "docker.io/acme/my_shop:v2",
            "target": "web(eu)/shop",
            "detail": "it crashed",
            "id": "p1",
            "at": "2026-11-27T12:00:00+00:00",
            "group": {"subscription": "0000", "resource_group": "web(eu)", "container_group": "shop"},
            "containers": ["web", "api"],
            "digest": f"sha256:{'a' * 64}",
            "from": dict(FULL.before),
            "code": "CrashLoop",
            "pusher": "alice",
            "by": None,
            "seconds": 125,
            "repeated": 2,
            "repeated_since": "2026-11-27T12:00:00+00:00",
            "log": "one\ntwo",
            "to_do": "push a good image; `redrive` tries this one again",
            "portal": PORTAL,
        }
        assert body["text"].splitlines()[1:3] == [
            "Runs again: docker.io/acme/my_shop:v1 (sha256:bbbbbbbbbbbb)",
            "Pushed by: alice",
        ]

    def test_no_text_of_others_controls_a_terminal_or_shows_a_secret(self) -> None:
        bad = "\x1b]0;x\x07hunter2\u202e"
        said = dict.fromkeys(("id", "code", "digest", "pusher", "by", "log"), bad)
        notice = replace(Notice("failed", bad, bad, bad, containers=(bad,), before={bad: bad}), **said)  # type: ignore[arg-type]
        content = content_of(notice, lambda text: text.replace("hunter2", "***"))
        # As it is written here and not as JSON, whose escapes would hide them.
        texts = json.dumps([as_json(content), content.title, content.rows], ensure_ascii=False)
        assert r"\\x1b]0;x\\x07***\\u202e" in texts
        assert not any(unsafe in texts for unsafe in ("\\u001b", "\\u0007", "\u202e", "hunter2"))

    def test_in_its_text_nobody_is_called(self) -> None:
        body = as_json(content_of(Notice("failed", "ghcr.io/a/b:v1", "rg/<b>", "<!channel> & co" + "x" * 9000)))
        assert body["text"].startswith("❌ failed: ghcr.io/a/b:v1 on rg/&lt;b&gt;: &lt;!channel&gt; &amp; co")
        assert body["detail"].startswith("<!channel> & co")
        assert len(body["text"]) < 3200


class TestOthersWords:
    @pytest.mark.parametrize("render", RENDERINGS)
    def test_nobody_is_called(self, render: Body) -> None:
        body = render(content_of(replace(FULL, detail=CALLS, pusher=CALLS, log=CALLS)))
        for call in ("<!", "<at>", "<users", "<@", "@everyone", "@here", "@U123"):
            assert call not in body

    @pytest.mark.parametrize("render", [as_markdown, as_card])
    def test_nothing_is_formatted(self, render: Body) -> None:
        body = render(content_of(replace(FULL, detail=CALLS, log="")))
        assert r"\[x\](http://evil) \*b\* \_i\_ \`c\` \~s\~ \| a\\b" in body

    def test_a_digest_stays_what_it_is(self) -> None:
        digest = f"a/b@sha256:{'0' * 64}"
        assert digest in as_text(content_of(replace(PLAIN, detail=f"not {digest}")))


class TestFitting:
    CONTENT = content_of(replace(FULL, log="\n".join(f"line {number}" for number in range(200))))

    def test_what_fits_is_whole(self) -> None:
        assert fitted(self.CONTENT, as_text, 10_000) == as_text(self.CONTENT)

    @pytest.mark.parametrize("limit", [700, 1000, 2000])
    def test_the_last_lines_of_the_log_stay_as_far_as_there_is_room(self, limit: int) -> None:
        body = fitted(self.CONTENT, as_markdown, limit)
        assert len(body) <= limit
        assert body.endswith("line 199\n```")
        assert "line 0\n" not in body

    def test_without_room_for_the_log_the_rest_stays(self) -> None:
        alone = replace(self.CONTENT, log="")
        assert fitted(self.CONTENT, as_text, len(as_text(alone))) == as_text(alone)

    def test_a_text_message_has_room_for_little(self) -> None:
        body = fitted(self.CONTENT, as_text, 200)
        assert len(body) == 200
        assert body.startswith("Group: web(eu)/shop (web, api)\nImage:")
        assert body.endswith(" …")

    def test_a_limit_that_leaves_no_room_at_all_is_taken_for_a_mistake(self) -> None:
        assert len(fitted(self.CONTENT, as_text, 3)) == 200
