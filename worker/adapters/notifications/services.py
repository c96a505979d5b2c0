"""The services of Apprise: a URL of theirs becomes a service, and a content is brought to it in its own form.

Apprise is imported when the first such URL is seen, as that takes a third of a second. It is given a URL and a text
and nothing else: it follows no redirects, loads no images, keeps nothing on disk, and reads no configuration.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

from shared.local_hosts import is_local
from worker.adapters.notifications.content import Content
from worker.adapters.notifications.rendering import (
    Body,
    as_card,
    as_html,
    as_markdown,
    as_text,
    calm,
    escaped,
    fitted,
)

if TYPE_CHECKING:
    from types import ModuleType

    from apprise import AppriseAsset, NotifyBase

_TEAMS = frozenset({"workflow", "workflows"})
_LONGEST_CARD = 8000
"""Characters. Teams takes cards of 28 KB; Apprise's own limit of 1,000 would cut off most logs."""
_DISCORD = re.compile(
    r"^https://(?:ptb\.|canary\.)?discord(?:app)?\.com/api/(?:v\d+/)?(?=webhooks/)",
    re.IGNORECASE,
)
"""Discord's test clients show the same webhook under hosts of their own, and its API has numbered versions."""
_LONGEST_PAUSE = 1.2
"""Seconds between two messages. Apprise pauses for 5.5 where it knows no better: 9 minutes for 100 groups."""
_SEVERITIES = {
    "updated": "success",
    "failed": "failure",
    "rolled-back": "warning",
    "address changed": "warning",
}
# What Apprise and requests say of a failure, and what can be told of it: nothing that was part of the URL.
_REASONS = (
    (re.compile(r"error=(\d{3})\b|\((\d{3}), b['\"]"), "answered {}"),
    (re.compile(r"certificate", re.IGNORECASE), "its certificate was refused"),
    (re.compile(r"timed? ?out", re.IGNORECASE), "it did not answer in time"),
    (
        re.compile(r"resolve|name or service|getaddrinfo|nodename", re.IGNORECASE),
        "its host has no address",
    ),
    (
        re.compile(r"connection refused|errno 111", re.IGNORECASE),
        "the connection was refused",
    ),
    (re.compile(r"proxy", re.IGNORECASE), "the proxy did not let it through"),
    (
        re.compile(r"connection error|socket exception", re.IGNORECASE),
        "it could not be reached",
    ),
)


class Unfit(Exception):
    """Nothing can be sent to this URL. The text says why, without any part of the URL."""


class Service:
    """One service of Apprise, by its URL. It keeps to the rate that the service allows; not for several threads."""

    def __init__(self, plugin: NotifyBase) -> None:
        self._plugin = plugin
        plugin.request_rate_per_sec = min(plugin.request_rate_per_sec, _LONGEST_PAUSE)

    @property
    def name(self) -> str:
        """What the service is called."""
        return str(self._plugin.service_name)

    def send(self, content: Content) -> str | None:
        """Bring the content there; why it did not arrive, or None. The time that this takes is not limited."""
        apprise = _apprise()
        form = self._plugin.resolve_format(apprise.NotifyFormat.TEXT)
        title, render, longest = self._form(form.value, content.title)
        with _said() as lines:
            delivered = self._plugin.notify(
                body=fitted(content, render, longest - len(title) - 40),
                title=title,
                notify_type=apprise.NotifyType(
                    _SEVERITIES.get(content.outcome, "info")
                ),
                body_format=form,
                overflow=apprise.OverflowMode.TRUNCATE,
            )
        return None if delivered else _reason(lines)

    def _form(self, form: str, title: str) -> tuple[str, Body, int]:
        """The title as it is sent, how the body is made, and how long it may become."""
        longest = self._plugin.body_maxlen
        if self._plugin.schema in _TEAMS:
            # Apprise cuts the body itself at this length, so its own limit has to be raised as well.
            self._plugin.body_maxlen = longest = _LONGEST_CARD
            return escaped(title), as_card, longest
        if self._plugin.schema == "discord":
            # It formats whatever it is sent, and has no title of its own.
            return f"**{escaped(title)}**", as_markdown, longest
        if form == "markdown":
            return escaped(title), as_markdown, longest
        if form == "html":
            return calm(title), as_html, longest
        return calm(title), as_text, longest


def native_service(url: str) -> Service | None:
    """The service whose webhook this https URL is, as it is copied from there; None if it is nobody's."""
    apprise = _apprise()
    url = _DISCORD.sub("https://discord.com/api/", url)
    with _said():
        results = apprise.plugins.url_to_dict(url)
        plugin = apprise.Apprise.instantiate(url, asset=_asset()) if results else None
    if results and not plugin:
        raise Unfit(
            "it is a webhook of a known service, but some part of it is missing or cut off"
        )
    return Service(plugin) if plugin else None


def service_of(url: str) -> Service:
    """The service of one of Apprise's own URLs, such as ntfys://host/topic. Raises Unfit."""
    apprise = _apprise()
    schema = url.partition("://")[0].lower()
    manager = apprise.apprise.N_MGR
    if schema not in manager:
        near = get_close_matches(schema, manager.schemas(), 1)
        raise Unfit(
            f"no service has such a URL{f'; did you mean {near[0]}://?' if near else ''}"
        )
    with _said():
        plugin = apprise.Apprise.instantiate(url, asset=_asset())
    known = manager[schema]
    if plugin is None and not known.enabled:
        raise Unfit(
            f"{known.service_name} needs Python packages that are not installed here"
        )
    if plugin is None:
        raise Unfit(
            f"it is not a complete URL of {known.service_name}: see {known.setup_url}"
        )
    _check_encrypted(plugin)
    return Service(plugin)


def _check_encrypted(plugin: NotifyBase) -> None:
    """What is secret must not cross a network in the clear: tokens, topics, passwords."""
    is_clear = plugin.schema in _names(plugin.protocol) and not plugin.secure
    is_mail = plugin.schema == "mailto"
    # A company's own mail relay often has no TLS, and then nothing secret is told it.
    is_harmless = (
        is_local(plugin.host or "")
        or not plugin.host
        or (is_mail and not plugin.password)
    )
    encrypted = _names(plugin.secure_protocol)
    if is_clear and encrypted and not is_harmless:
        raise Unfit(
            f"it is not encrypted: write {encrypted[0]}:// instead of {plugin.schema}://"
        )


def _names(schemas: object) -> list[str]:
    if isinstance(schemas, str):
        return [schemas]
    if isinstance(schemas, list | tuple | set | frozenset):
        return [str(schema) for schema in schemas]
    return []


@cache
def _apprise() -> ModuleType:
    import apprise

    # It logs what it sends, and to which URL; so does urllib3, on which it stands.
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(_LISTENER)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    return apprise


@cache
def _asset() -> AppriseAsset:
    apprise = _apprise()
    asset: AppriseAsset = apprise.AppriseAsset(
        app_id="aci-hooks",
        app_desc="aci-hooks",
        app_url="https://github.com/aci-hooks/aci-hooks",
        image_url_mask="",
        image_url_logo="",
        image_path_mask=False,
        async_mode=False,
        http_redirects=False,
        storage_mode="memory",
        pgp_autogen=False,
        pem_autogen=False,
        language="en",
        allow_templates=False,
    )
    return asset


class _Listener(logging.Handler):
    """Hears what Apprise says in this thread, and keeps it from everybody else."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line, if somebody in this thread listens."""
        lines: list[str] | None = getattr(self.heard, "lines", None)
        if lines is not None:
            lines.append(record.getMessage())


_LISTENER = _Listener()


@contextmanager
def _said() -> Iterator[list[str]]:
    """What Apprise says meanwhile. It may hold secrets."""
    lines: list[str] = []
    _LISTENER.heard.lines = lines
    try:
        yield lines
    finally:
        _LISTENER.heard.lines = None


def _reason(lines: list[str]) -> str:
    for pattern, reason in _REASONS:
        for line in lines:
            if found := pattern.search(line):
                return reason.format(*(group for group in found.groups() if group))
    return "it was not accepted"
