"""A content as plain text, Markdown, HTML or JSON. Pure.

What others wrote (details, names, log lines) can neither call people nor format anything. Each chat has mentions of its
own, `@everyone`, `<!channel>`, `<at>name</at>`, `<users/all>`, and Apprise knows how to send some of them; but each of
them needs an at sign before a letter, or an angle bracket.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from worker.adapters.notifications.content import Content

# A digest calls nobody, and is there to be copied.
_MENTION = re.compile(r"@(?!sha256:)")
_BRACKETS = str.maketrans(
    {
        "<": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
        ">": "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}",
    }
)
_ZERO_WIDTH = "\N{ZERO WIDTH SPACE}"
# An underscore within a word formats nothing, and names of images are full of them. (CommonMark, "emphasis".)
_MARKUP = re.compile(r"(?<![^\W_])_|_(?![^\W_])|[\\*`\[\]~|]")
_SMALLEST = 200
"""Characters: what does not fit into so many is cut wherever that is."""

Body = Callable[[Content], str]


def as_text(content: Content) -> str:
    """For what formats nothing."""
    rows = [f"{label}: {calm(value)}" for label, value in content.rows]
    log = ["", "Last lines of the log:", calm(content.log)] if content.log else []
    return "\n".join([*rows, *_link(content), *log])


def as_markdown(content: Content) -> str:
    """For chats that know fenced blocks."""
    return _markdown(
        content, "```\n{}\n```".format(calm(content.log).replace("`", "'"))
    )


def as_card(content: Content) -> str:
    """For Adaptive Cards, which know no fenced blocks.

    https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features
    """
    return _markdown(
        content, "\n\n".join(escaped(line) for line in content.log.splitlines())
    )


def as_html(content: Content) -> str:
    """For mails and chats that take HTML."""
    rows = [
        f"<b>{label}:</b> {html.escape(_unaddressed(value))}"
        for label, value in content.rows
    ]
    if content.portal:
        rows.append(f'<a href="{html.escape(content.portal)}">Azure portal</a>')
    if content.log:
        lines = html.escape(_unaddressed(content.log))
        rows.append(f"<b>Last lines of the log:</b>\n<pre>{lines}</pre>")
    return "<br/>\n".join(rows)


def as_json(content: Content) -> dict[str, Any]:
    """The JSON to post: `text` for a chat, and everything else for programs.

    In `text`, & < > are escaped: Slack would take <!channel> for a call to everybody. See
    docs.slack.dev/messaging/formatting-message-text.
    """
    head = f"{content.title}: {content.fields['detail']}"
    # The title names the image and the group already, and the detail is the reason.
    rows = [
        f"{label}: {value}"
        for label, value in content.rows
        if label not in {"Group", "Image", "Why"}
    ]
    return {
        "text": html.escape("\n".join([head, *rows, *_link(content)]), quote=False),
        **content.fields,
    }


def fitted(content: Content, render: Body, limit: int) -> str:
    """The body, with as many of the log's last lines as there is room for; its end is cut off if nothing else helps."""
    lines = content.log.splitlines()
    while True:
        body = render(replace(content, log="\n".join(lines)))
        if len(body) <= limit or not lines:
            break
        # The first half of the lines goes, because the last ones tell the most.
        lines = lines[len(lines) // 2 + 1 :]
    return body if len(body) <= limit else f"{body[: max(limit, _SMALLEST) - 2]} …"


def calm(text: str) -> str:
    """The text without anything that could call people."""
    return _unaddressed(text.translate(_BRACKETS))


def escaped(text: str) -> str:
    """The text without anything that could call people or be taken for Markdown."""
    return _MARKUP.sub(lambda found: f"\\{found[0]}", calm(text))


def _unaddressed(text: str) -> str:
    return _MENTION.sub(f"@{_ZERO_WIDTH}", text)


def _markdown(content: Content, log: str) -> str:
    rows = [f"- **{label}:** {escaped(value)}" for label, value in content.rows]
    link = [f"- [Azure portal]({content.portal})"] if content.portal else []
    logs = ["", "**Last lines of the log:**", "", log] if content.log else []
    return "\n".join([*rows, *link, *logs])


def _link(content: Content) -> list[str]:
    return [f"Azure portal: {content.portal}"] if content.portal else []
