"""Logs and trace context: one line for each event, and no secrets."""

from __future__ import annotations

import logging
import re
import secrets
import sys
import threading
from collections.abc import Iterable
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared import tracing
from shared.masking import MASK, Masks
from shared.printable import printable, printable_line

_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_URL_TOKEN = re.compile(r"(/webhooks/[^/\s?]+/)[^/\s?\"]+")


class Redaction:
    """A structlog processor that masks the known secrets in every text of an event; more may be learnt later."""

    def __init__(self, hidden: Iterable[str | bytes] = ()) -> None:
        self._hidden = frozenset(hidden)
        self._mask = Masks(self._hidden)
        self._lock = threading.Lock()

    def learn(self, secret: str | bytes) -> None:
        """Hide this value from now on, in every spelling."""
        with self._lock:
            if secret not in self._hidden:
                # A new value takes the place of the old one, which other threads may be using at this moment.
                self._hidden |= {secret}
                self._mask = Masks(self._hidden)

    def text(self, text: str) -> str:
        """The text without any known secret, and without the token of a webhook's path.

        It is Unicode in any case: with half of a surrogate pair, which JSON can hold, no record could be written.
        """
        return _HALF_PAIR.sub("\ufffd", self._mask(_URL_TOKEN.sub(rf"\1{MASK}", text)))

    def __call__(
        self, _logger: WrappedLogger, _method: str, event: EventDict
    ) -> EventDict:
        return {key: self._masked(value) for key, value in event.items()}

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self._masked(member) for key, member in value.items()}
        if isinstance(value, list | tuple):
            return [self._masked(element) for element in value]
        return value


def configure_logging(
    log_format: Literal["json", "console"] | None, redaction: Redaction
) -> None:
    """Send this program's events, and the libraries' warnings, to stderr: JSON lines, or lines for a person.

    Without a format, a terminal gets lines for a person, and anything else gets JSON.
    """
    for_programs = log_format == "json" or (
        log_format is None and not sys.stderr.isatty()
    )
    shared = _gathering(redaction)
    renderers = _rendering(for_programs=for_programs)
    structlog.configure(
        processors=[*shared, *renderers],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    _take_warnings_of_libraries(shared, renderers)


def _gathering(redaction: Redaction) -> list[Processor]:
    """What makes an event complete. The secrets are masked last, when everything that may hold one is there."""
    return [
        structlog.contextvars.merge_contextvars,
        tracing.name_span,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redaction,
    ]


def _rendering(*, for_programs: bool) -> list[Processor]:
    """What makes a line of an event."""
    if for_programs:
        return [structlog.processors.JSONRenderer()]
    console = structlog.dev.ConsoleRenderer(colors=takes_colours(), sort_keys=False)
    return [for_people, console]


def _take_warnings_of_libraries(
    shared: list[Processor], renderers: list[Processor]
) -> None:
    """What libraries log by Python's own logging goes the same way, so that secrets are masked there, too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *renderers,
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # It warns of every error that it raises as well, a page long.
    logging.getLogger("azure.identity").setLevel(logging.ERROR)
    # Commands that look at many groups side by side need more connections than are worth keeping.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def takes_colours() -> bool:
    """Is stderr a terminal that shows color, and do neither NO_COLOR nor TERM ask for none?"""
    from rich.console import Console

    console = Console(stderr=True)
    return (
        console.is_terminal
        and console.color_system is not None
        and not console.no_color
    )


def for_people(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """First what happened and why, then to what it happened. The ids of its trace are for programs: left out.

    What outside systems said is made printable: of all texts only a traceback may have several lines.
    """
    first = {
        key: event[key]
        for key in ("outcome", "code", "reason", "detail")
        if key in event
    }
    rest = {
        key: value
        for key, value in event.items()
        if key not in first and key not in {"trace_id", "span_id"}
    }
    return {
        key: _for_a_terminal(key, value) for key, value in {**first, **rest}.items()
    }


def _for_a_terminal(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return (
            printable(value) if key in {"exception", "stack"} else printable_line(value)
        )
    if isinstance(value, dict):
        return {
            printable_line(str(name)): _for_a_terminal("", member)
            for name, member in value.items()
        }
    if isinstance(value, list | tuple):
        return [_for_a_terminal("", element) for element in value]
    return value


def new_traceparent(received: str | None = None) -> str:
    """The current span; without one the sender's W3C trace context if it sent a valid one, else a new trace's."""
    if current := tracing.current().traceparent:
        return current
    if received and _TRACEPARENT.fullmatch(received):
        return received
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_id(traceparent: str | None) -> str | None:
    """The trace's id, by which the lines of one push are found in every program's log."""
    if not traceparent or not _TRACEPARENT.fullmatch(traceparent):
        return None
    return traceparent.split("-")[1]
