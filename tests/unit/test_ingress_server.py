"""The server's deadlines, on real sockets: whoever is overdue no longer holds a thread."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import TConn, ThreadWorker

from ingress import server
from ingress.server import Server, Worker

Serve = Callable[[socket.socket], None]


@pytest.fixture
def worker() -> Iterator[Worker]:
    app: BaseApplication = Server(load=lambda: None, host="127.0.0.1", port=0, when_ready=lambda: None)
    worker = Worker(1, os.getpid(), [], app, 30, app.cfg, app.cfg.logger_class(app.cfg))
    worker.alive = True
    yield worker
    worker.tmp.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's end of a connection, and the client's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def serve(worker: Worker, ours: socket.socket, monkeypatch: pytest.MonkeyPatch, serving: Serve) -> list[Any]:
    """What the worker gives back once `serving` ends in a thread, its main loop's glances going on meanwhile."""

    def handle(_worker: ThreadWorker, conn: TConn) -> bool:
        conn.sock.setblocking(True)
        serving(conn.sock)
        return False

    monkeypatch.setattr(ThreadWorker, "handle", handle)
    results: list[Any] = []
    conn = TConn(worker.cfg, ours, ("127.0.0.1", 1), ("127.0.0.1", 2))
    thread = threading.Thread(target=lambda: results.append(worker.handle(conn)), daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while thread.is_alive() and time.monotonic() < deadline:
        worker.murder_pending()
        thread.join(0.01)
    return results


def test_a_client_that_sends_nothing_more_can_still_be_answered(
    worker: Worker, ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = ends
    monkeypatch.setattr(server, "_HEAD_LIMIT", -1.0)

    def read_then_answer(sock: socket.socket) -> None:
        assert sock.recv(100) == b""
        sock.sendall(b"too slow")

    assert serve(worker, ours, monkeypatch, read_then_answer) == [False]
    assert theirs.recv(100) == b"too slow"


def test_a_client_that_never_reads_its_answer_is_given_up(
    worker: Worker, ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_HEAD_LIMIT", -60.0)
    failures: list[BaseException] = []

    def answer(sock: socket.socket) -> None:
        try:
            sock.sendall(b"x" * 100_000_000)
        except OSError as error:
            failures.append(error)

    assert serve(worker, ends[0], monkeypatch, answer) == [False]
    assert [type(error) for error in failures] == [BrokenPipeError]


def test_a_client_that_keeps_its_end_open_is_not_waited_for(
    worker: Worker, ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_FAREWELL", -1.0)
    assert serve(worker, ends[0], monkeypatch, lambda sock: sock.sendall(b"bye")) == [False]
    assert ends[1].recv(100) == b"bye"
    assert ends[1].recv(100) == b""


def test_a_stopping_server_gives_nobody_his_whole_time(
    worker: Worker, ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_LAST_CALL", -1.0)
    worker.alive = False

    def read(sock: socket.socket) -> None:
        assert sock.recv(100) == b""

    assert serve(worker, ends[0], monkeypatch, read) == [False]
