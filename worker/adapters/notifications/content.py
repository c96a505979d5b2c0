"""What a notification says: a title, a few rows, the crashed container's last lines and a link to the portal. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from shared.durations import how_long_exactly
from shared.message import TargetId
from shared.printable import printable, printable_line
from worker.failures.advice import AFTER_ADDRESS_CHANGE, what_to_do
from worker.ports import Notice

LONGEST_DETAIL = 3000
"""Characters: Slack cuts a text off at 40,000, other chats much earlier."""
LONGEST_LOG = 2000
ICONS = {"updated": "✅", "rolled-back": "↩️", "failed": "❌", "address changed": "⚠️"}
DEFAULT_ICON = "\N{INFORMATION SOURCE}️"
_SHORT_DIGEST = len("sha256:") + 12


@dataclass(frozen=True, slots=True)
class Repeats:
    """How many more such notices there were after the last one that was told, and since when."""

    count: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Content:
    """What is said, without secrets. `fields` is the same for programs."""

    outcome: str
    title: str
    rows: tuple[tuple[str, str], ...]
    log: str
    portal: str
    fields: Mapping[str, Any]


def content_of(
    notice: Notice,
    hide: Callable[[str], str] = str,
    portal_host: str = "portal.azure.com",
    repeats: Repeats | None = None,
) -> Content:
    """What to say of a notice. `hide` masks the known secrets, before anything is cut."""
    clean = _Cleaning(hide)
    portal = portal_link(portal_host, notice.group) if notice.group else ""
    log = _last(printable(hide(notice.log or "")))
    advice = _advice(notice)
    return Content(
        outcome=notice.outcome,
        title=_title(notice, clean, repeats),
        rows=tuple(
            (label, value)
            for label, value in _rows(notice, clean, advice, repeats)
            if value
        ),
        log=log,
        portal=portal,
        fields=_fields(notice, clean, repeats)
        | {"log": log, "to_do": advice or None, "portal": portal or None},
    )


def _advice(notice: Notice) -> str:
    if notice.code:
        return what_to_do(notice.code)
    return AFTER_ADDRESS_CHANGE if notice.outcome == "address changed" else ""


def portal_link(host: str, group: TargetId) -> str:
    """The page of a container group in the Azure portal."""
    subscription, resource_group, name = (
        quote(part, safe="")
        for part in (group.subscription, group.resource_group, group.container_group)
    )
    resource = f"subscriptions/{subscription}/resourceGroups/{resource_group}"
    return f"https://{host}/#resource/{resource}/providers/Microsoft.ContainerInstance/containerGroups/{name}/overview"


def short(image: str, digest: str | None = None) -> str:
    """An image as people read it: the tag, and the first characters of the digest."""
    name, _, own = image.partition("@")
    digest = own or digest
    return f"{name} ({digest[:_SHORT_DIGEST]})" if digest else name


class _Cleaning:
    """Texts of others, without secrets and control characters."""

    def __init__(self, hide: Callable[[str], str]) -> None:
        self._hide = hide

    def __call__(self, text: str | None) -> str:
        return printable_line(self._hide(text or ""))


def _title(notice: Notice, clean: _Cleaning, repeats: Repeats | None) -> str:
    again = ""
    if repeats:
        again = f", {repeats.count} more {'time' if repeats.count == 1 else 'times'}"
    where = f" on {clean(notice.target)}" if notice.target else ""
    icon = ICONS.get(notice.outcome, DEFAULT_ICON)
    return f"{icon} {notice.outcome}{again}: {clean(notice.image)}{where}"


def _rows(
    notice: Notice, clean: _Cleaning, advice: str, repeats: Repeats | None
) -> list[tuple[str, str]]:
    group = clean(notice.target)
    if group and notice.containers:
        group += f" ({', '.join(clean(name) for name in notice.containers)})"
    before = ", ".join(
        sorted({short(clean(image)) for image in notice.before.values()})
    )
    came_back = notice.outcome == "rolled-back"
    why = clean(notice.detail)[:LONGEST_DETAIL]
    if notice.code:
        why += f" ({clean(notice.code)})"
    folded = ""
    if repeats:
        since = f"{repeats.since:%Y-%m-%d %H:%M} UTC"
        folded = f"{repeats.count} since {since}; this is the last one"
    return [
        ("Group", group),
        ("Image", short(clean(notice.image), clean(notice.digest) or None)),
        ("Runs again" if came_back else "Before", before),
        ("Why", why),
        ("Pushed by", clean(notice.pusher)),
        ("By hand", clean(notice.by)),
        ("Took", "" if notice.seconds is None else how_long_exactly(notice.seconds)),
        ("Repeated", folded),
        ("To do", advice),
        ("Push", clean(notice.id)),
    ]


def _fields(
    notice: Notice, clean: _Cleaning, repeats: Repeats | None
) -> dict[str, Any]:
    return {
        "outcome": notice.outcome,
        "image": clean(notice.image),
        "target": clean(notice.target),
        "detail": clean(notice.detail)[:LONGEST_DETAIL],
        "id": clean(notice.id),
        "at": notice.at.isoformat() if notice.at else None,
        "group": notice.group.model_dump() if notice.group else None,
        "containers": [clean(name) for name in notice.containers],
        "digest": clean(notice.digest) or None,
        "from": {clean(name): clean(image) for name, image in notice.before.items()},
        "code": clean(notice.code) or None,
        "pusher": clean(notice.pusher) or None,
        "by": clean(notice.by) or None,
        "seconds": notice.seconds,
        "repeated": repeats.count if repeats else 0,
        "repeated_since": repeats.since.isoformat() if repeats else None,
    }


def _last(text: str) -> str:
    """The last lines of a log, whole ones if possible."""
    text = text.strip("\n")
    if len(text) <= LONGEST_LOG:
        return text
    kept = text[-LONGEST_LOG:]
    return kept.partition("\n")[2] or kept
