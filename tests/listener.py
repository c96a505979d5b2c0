"""A TCP server on loopback for what is no plain HTTP: `talk` speaks with each client, in a thread of its own.

What speaks HTTP is a tests.http_server.LoopbackServer.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable


class Listener:
    """Listens from the start, until `close`. A client that hangs up ends nothing but its own thread."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self._talk = talk
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._listen, name="test listener", daemon=True).start()

    def close(self) -> None:
        """Take no more clients."""
        self._socket.shutdown(socket.SHUT_RDWR)  # which wakes the thread that accepts
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._meet, args=(connection,), daemon=True).start()

    def _meet(self, connection: socket.socket) -> None:
        try:
            with connection:
                self._talk(connection)
        except OSError:
            pass  # clients that hang up are part of the tests
