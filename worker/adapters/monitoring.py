"""/healthz, /readyz and /metrics of a running worker, on a port of their own."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.errors import RemoteError
from shared.time_limit import NoThread, OutOfTime, within
from worker.ports import Gauges

TURN = 15
"""Seconds that a worker is the one that reports what all workers share, unless it says again that it is there."""
RENEWAL = 5.0
LONGEST_GOODBYE = 1.0
LONGEST_READ = 4.0
"""Seconds that a scrape waits for storage. Prometheus itself waits 10."""

_OK = {"status": "ok"}
_NOT_FOUND = {"status": "not found", "detail": "try /healthz, /readyz or /metrics"}

log = structlog.get_logger()


class Turn:
    """Whether this worker is the one that reports what all workers share, so that their sum is right.

    `take` asks for the turn for the next TURN seconds, `give` gives it back; both may raise RemoteError.
    """

    def __init__(
        self,
        take: Callable[[], bool],
        give: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._take = take
        self._give = give
        self._clock = clock
        self._until = float("-inf")

    def renew(self) -> None:
        """Take the turn, or keep it. Raises RemoteError."""
        # The turn counts from before the request, so that a worker gives it up no later than storage does.
        asked_at = self._clock()
        self._until = asked_at + TURN if self._take() else float("-inf")

    def try_to_renew(self) -> None:
        """The same at the start of a worker, where storage may not be ready yet."""
        with suppress(RemoteError):
            self.renew()

    def end(self) -> None:
        """Let another worker have it at once, if storage answers soon. Otherwise it ends by itself."""
        if self:
            with suppress(RemoteError, OutOfTime, NoThread):
                within(LONGEST_GOODBYE, self._give, "end of turn")
        self._until = float("-inf")

    def __bool__(self) -> bool:
        return self._clock() < self._until


class SharedGauges(Collector):
    """What all workers share, from the one whose turn it is. The others, and one that can't read it, say nothing.

    With a number from each of N workers, a sum would be N times too large. With 0 from the others it would be right,
    but a worker that can't reach storage would then say 0 as well.
    """

    def __init__(
        self,
        turn: Turn,
        read: Callable[[], Gauges],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._turn = turn
        self._read = read
        self._now = now
        self._one_at_a_time = threading.Lock()

    def describe(self) -> list[Metric]:
        """Nothing: so that nothing is read when this is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read them now."""
        if self._turn and (gauges := self._gauges()):
            yield from _families(gauges, self._now())

    def _gauges(self) -> Gauges | None:
        # Where storage hangs, each scrape would else leave a thread behind.
        if not self._one_at_a_time.acquire(timeout=LONGEST_READ):
            return None
        try:
            return within(LONGEST_READ, self._read_and_let_go, "gauges")
        except NoThread as error:
            # The read has not begun, so nobody else will let go. (A RuntimeError of the read itself is none of these.)
            self._one_at_a_time.release()
            log.warning("metrics not complete", error=str(error))
        except OutOfTime:
            log.warning("metrics not complete", error="storage gave no answer in time")
        except RemoteError as error:
            log.warning("metrics not complete", error=str(error))
        except Exception:  # all other metrics are worth their scrape
            log.exception("metrics not complete")
        return None

    def _read_and_let_go(self) -> Gauges:
        try:
            return self._read()
        finally:
            self._one_at_a_time.release()


def _families(gauges: Gauges, now: datetime) -> Iterator[Metric]:
    seen = gauges.overview
    # A push that another worker has just received may be ahead of this worker's clock.
    age = max(0.0, (now - seen.oldest).total_seconds()) if seen.oldest else 0.0
    yield _labelled(
        "queue_messages",
        "Messages on a queue, leased and delayed ones included",
        "queue",
        gauges.messages,
    )
    yield _plain(
        "dead_letters", "Dead letters that wait for an operator", gauges.dead_letters
    )
    yield _plain("targets", "Container groups that are kept up to date", seen.targets)
    held = {"hand": seen.held_by_hand, "owner": seen.held_by_owner}
    yield _labelled(
        "targets_held", "Targets whose updates are held, by whom", "by", held
    )
    yield _plain(
        "targets_changing",
        "Targets with a change that is not proven yet",
        seen.changing,
    )
    pushes = {"under-way": seen.pushes, "held": seen.pushes_held}
    yield _labelled(
        "pushes", "Pushes in the records that have not ended", "state", pushes
    )
    yield _plain(
        "oldest_push_age_seconds",
        "Age of the oldest push under way; 0 without one",
        age,
    )
    yield _plain("unreadable_records", "Records that can't be read", gauges.unreadable)
    # Before the first sweep there is no time to report. A 0 would stand for a sweep in 1970.
    if gauges.last_sweep:
        yield _plain(
            "last_sweep_timestamp_seconds",
            "When a sweep last ended",
            gauges.last_sweep.timestamp(),
        )


def _plain(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(f"aci_hooks_{name}", documentation, value=value)


def _labelled(
    name: str, documentation: str, label: str, values: dict[str, int]
) -> Metric:
    family = GaugeMetricFamily(f"aci_hooks_{name}", documentation, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


class _Answering(BaseHTTPRequestHandler):
    """Writes answers."""

    timeout = 10

    def log_message(self, *_: object) -> None:
        """Requests for health are not worth a line."""

    def answer_json(self, status: int, body: dict[str, str]) -> None:
        """Answer with JSON."""
        self.answer(status, "application/json", json.dumps(body).encode())

    def answer(self, status: int, content_type: str, body: bytes) -> None:
        """Answer with any body."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve_monitoring(
    host: str, port: int, ready: Callable[[], str | None]
) -> ThreadingHTTPServer:
    """Serve in a background thread; `ready` says why the worker is not ready, None if it is. Port 0: any free one.

    Raises OSError if it can't listen there.
    """
    bare = host.strip("[]")

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in bare else socket.AF_INET

    class Handler(_Answering):
        def do_GET(self) -> None:
            """Answer the three paths."""
            if self.path == "/metrics":
                self.answer(200, CONTENT_TYPE_LATEST, generate_latest())
            elif self.path == "/healthz":
                self.answer_json(200, _OK)
            elif self.path != "/readyz":
                self.answer_json(404, _NOT_FOUND)
            elif why := ready():
                self.answer_json(503, {"status": "unavailable", "detail": why})
            else:
                self.answer_json(200, _OK)

    server = Server((bare, port), Handler)
    Thread(target=server.serve_forever, name="monitoring", daemon=True).start()
    return server
