"""The status page over HTTP: routes and headers. Reads nothing itself; GET and HEAD alone."""

from __future__ import annotations

import json
from collections.abc import Sequence

from flask import Flask, Response, abort, render_template, request
from werkzeug.exceptions import HTTPException

from shared.message import TargetId
from shared.printable import printable_json
from worker.core.entries import as_entry
from worker.dashboard.admission import CHALLENGE, may_enter, names_loopback
from worker.dashboard.reader import Reader
from worker.dashboard.views import Wish, letter_of, page_of

EVENTS = "text/event-stream"
_HEALTH = "/healthz"
_READS = ("GET", "HEAD")
_HEADERS = {
    # Everything that the page is made of comes from here, and nothing of it stands in the page itself.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def create_app(reader: Reader, tokens: Sequence[str] = ()) -> Flask:
    """The WSGI application. Without tokens it answers nobody who asks for another host than this machine."""
    app = Flask("worker.dashboard")
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    # Without this a request for //x would be answered by a redirect that repeats what was asked for.
    app.url_map.merge_slashes = False
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.before_request(lambda: _refusal(tokens))
    app.after_request(_protected)
    app.register_error_handler(HTTPException, _told)
    pages = _Pages(reader)
    app.get("/")(pages.overview)
    app.get("/groups/<subscription>/<resource_group>/<container_group>")(pages.group)
    app.get("/dead-letters/<key>")(pages.dead_letter)
    app.get("/status.json")(pages.status)
    app.get("/events")(pages.events)
    app.get(_HEALTH)(pages.healthz)
    return app


class _Pages:
    """What is answered to those who may look."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def overview(self) -> str:
        """Everything."""
        return self._page(
            Wish(request.args.get("q", ""), request.args.get("page", 1, type=int))
        )

    def group(
        self, subscription: str, resource_group: str, container_group: str
    ) -> str:
        """One group, with its history and its dead letters."""
        target = _target(subscription, resource_group, container_group)
        if target not in self._reader.shown().state.seen:
            abort(404, "no such group is among the targets")
        return self._page(Wish(group=target))

    def dead_letter(self, key: str) -> str:
        """One dead letter with everything in it."""
        letter = letter_of(self._reader.shown().state, self._reader.sources.now(), key)
        if letter is None:
            abort(404, "the letter is no longer among the dead letters")
        return render_template("letter.html", letter=letter)

    def status(self) -> Response:
        """What `aci-hooks status --json` prints."""
        state = self._reader.shown().state
        # An empty list would say that there are no groups, and a program would believe it.
        if not state.is_read:
            return _text(503, "the groups have not been read yet", {"Retry-After": "5"})
        text = printable_json(
            json.dumps(
                [as_entry(status) for status in state.statuses], ensure_ascii=False
            )
        )
        return Response(f"{text}\n", content_type="application/json")

    def events(self) -> Response:
        """The head of a stream; front.py goes on with it."""
        return Response(b"", content_type=EVENTS)

    def healthz(self) -> dict[str, str]:
        """Is the process there?"""
        return {"status": "ok"}

    def _page(self, wish: Wish) -> str:
        shown, sources = self._reader.shown(), self._reader.sources
        page = page_of(shown.state, sources.now(), wish, rollback=sources.rollback)
        return render_template("page.html", page=page, version=shown.version)


def _refusal(tokens: Sequence[str]) -> Response | None:
    """Why a request is not answered; None if it is. Asked before a page is looked for, so strangers learn of none."""
    # A platform's probe has no token, and learns nothing but that the process is there.
    if request.path == _HEALTH:
        return None
    if tokens and not may_enter(request.headers.get("Authorization"), tokens):
        return _text(
            401,
            "a token is needed, as the password or as Bearer",
            {"WWW-Authenticate": CHALLENGE},
        )
    # The server listens on loopback alone, but a page of somebody else may point its own name there: DNS rebinding.
    if not tokens and not names_loopback(request.headers.get("Host")):
        return _text(
            403,
            "without ACI_HOOKS_DASHBOARD_TOKENS only requests to localhost are answered",
        )
    if request.method not in _READS:
        return _text(
            405,
            "this page is read-only: only GET and HEAD are allowed",
            {"Allow": ", ".join(_READS)},
        )
    return None


def _told(error: HTTPException) -> Response:
    # As text, like every other answer that is not a page. werkzeug's own would be HTML.
    return _text(error.code or 500, error.description or error.name)


def _protected(response: Response) -> Response:
    response.headers.update(_HEADERS)
    return response


def _target(subscription: str, resource_group: str, container_group: str) -> TargetId:
    try:
        return TargetId(
            subscription=subscription,
            resource_group=resource_group,
            container_group=container_group,
        )
    except ValueError:
        abort(404, "this is not the name of a group")


def _text(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return Response(
        f"{text}\n", status, headers=headers, content_type="text/plain; charset=utf-8"
    )
