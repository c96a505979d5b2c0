"""The simulator as a process: it says where it listens, and ends cleanly on SIGTERM."""

import argparse
import signal
from threading import Event

from . import demo
from .client import SimulatorClient
from .server import ArmSimulator


def main() -> None:
    parser = argparse.ArgumentParser(prog="arm-simulator", description="A stand-in for Azure Container Instances.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8484, help="0 takes a free port (default: %(default)s)")
    parser.add_argument("--demo", action="store_true", help="set up the container group of the demo")
    arguments = parser.parse_args()

    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ArmSimulator(arguments.host, arguments.port) as arm:
        if arguments.demo:
            with SimulatorClient(arm.url) as client:
                demo.set_up(client)
        print(f"arm-simulator listening on {arm.url}", flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
