"""`python -m tests.demo [--sender SENDER] [--keep]`: exit code 0 only if everything that it shows did happen."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.settings import SENDERS
from tests.arm_simulator import SimulatorRefusedError
from tests.arm_simulator.demo import GROUP
from tests.azurite import Azurite, AzuriteMissing
from tests.demo.deliveries import Registry
from tests.demo.stage import CONTAINER, Stage
from tests.demo.story import Story, Told
from tests.ingress_harness import TOKEN, key_server
from tests.processes import ProcessError, Processes

console = Console(highlight=False, soft_wrap=True)


class DemoFailed(Exception):
    """Something that the demo shows was not so."""


@dataclass(frozen=True)
class Claim:
    """One thing that must have been observed."""

    text: str
    holds: bool


def main() -> int:
    """Run the demo; its exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--sender", choices=SENDERS, default="dockerhub", help="whose webhook is sent")
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with key_server() as issuer, Azurite() as azurite, Processes() as processes:
            try:
                with console.status("starting Azurite, the ARM simulator, the ingress and two workers"):
                    started = time.monotonic()
                    stage = Stage(azurite, processes, Registry(arguments.sender, issuer), issuer.url)
                _show_stage(stage, time.monotonic() - started)
                _play(stage)
            except (AssertionError, DemoFailed, TimeoutError, SimulatorRefusedError, httpx.HTTPError) as error:
                raise DemoFailed(f"{error}\n{processes.tails()}") from error
            if arguments.keep:
                _keep(stage, processes)
    except (DemoFailed, ProcessError, AzuriteMissing) as error:
        print(f"\nthe demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    return 0


def _play(stage: Stage) -> None:
    """A good push, then a bad one, then the table and the judgement."""
    story, registry = Story(stage, console), stage.registry
    console.print(f"\n[bold]1. A good image: {registry.image('v1')} becomes v2")
    good = story.push("v2")
    console.print("\n[bold]2. A bad image: v3 crashes as soon as it starts")
    stage.arm.image(registry.image("v3"), "crash-loop", digest=registry.digest("v3"))
    bad = story.push("v3")
    letters = stage.dead_letters()
    console.print("\n[bold]3. The result")
    _show_result(stage, good, bad, letters)
    claims = list(_judge(good, bad, letters))
    for claim in claims:
        console.print(f"  [green]✓[/] {claim.text}" if claim.holds else f"  [bold red]✗ {claim.text}[/]")
    if not all(claim.holds for claim in claims):
        raise DemoFailed("; ".join(f"not so: {claim.text}" for claim in claims if not claim.holds))


def _judge(good: Told, bad: Told, letters: list[dict[str, Any]]) -> list[Claim]:
    v1, v2 = good.before.image, good.image
    letter = letters[0] if len(letters) == 1 else {}
    return [
        Claim(f"the group went from {v1} to {v2}", (v1 != v2, good.after.image) == (True, v2)),
        Claim("with one PUT", good.puts == 1 and good.outcome.result == "updated"),
        Claim("at the same public IP", len({told.ip for told in (good.before, good.after, bad.after)}) == 1),
        Claim(
            f"the bad image was rolled back to {v2}, which runs",
            (bad.outcome.result, bad.after.image, bad.after.state) == ("rolled-back", v2, "Running"),
        ),
        Claim(
            "and its push is the one dead letter, with the evidence",
            letter.get("code") == "CrashLoop" and str(letter.get("image")).endswith(bad.image),
        ),
    ]


def _show_stage(stage: Stage, seconds: float) -> None:
    console.print(f"real processes, ready after {seconds:.1f} s:")
    console.print(f"  ingress   {stage.ingress_url}")
    for program, url in zip(stage.workers, stage.worker_urls, strict=True):
        console.print(f"  {program.name}  {url}")
    console.print(f"  azure     {stage.simulator_url} (the ARM simulator; queue and records are in Azurite)")


def _show_result(stage: Stage, good: Told, bad: Told, letters: list[dict[str, Any]]) -> None:
    repository = stage.registry.image("")
    table = Table("pushed", "ran", "runs", "IP before", "IP after", "PUTs", "outcome")
    for told in (good, bad):
        tags = (image.removeprefix(repository) for image in (told.image, told.before.image, told.after.image))
        table.add_row(*tags, told.before.ip, told.after.ip, str(told.puts), told.outcome.result)
    console.print(f"container {CONTAINER} of the container group {GROUP}, image {repository[:-1]}:")
    console.print(table)
    for letter in letters:
        console.print(f"dead letter {letter['id'][:8]}: {letter['code']}: {escape(letter['detail'])}\n")


def _keep(stage: Stage, processes: Processes) -> None:
    """Say how to go on by hand, and wait for Ctrl-C."""
    environment = processes.folder / "environment"
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in stage.settings.items()]
    environment.write_text("".join(lines), encoding="utf-8")
    console.print("\n[bold]Everything keeps running; Ctrl-C ends it")
    console.print(f"push another tag:\n  {_curl(stage)}", markup=False)
    console.print(f"what the group runs:\n  curl -s {stage.simulator_url}/_simulator/groups", markup=False)
    command = Path(sys.executable).with_name("aci-hooks-worker")
    console.print(f"look behind it:\n  . {environment}; {command} history", markup=False)
    console.print(f"or in a browser:\n  . {environment}; {command} dashboard", markup=False)
    console.print(f"metrics: {stage.ingress_url}/metrics {' '.join(f'{url}/metrics' for url in stage.worker_urls)}")
    console.print(f"logs: {processes.folder}")
    try:
        while all(program.running for program in stage.programs):
            time.sleep(0.2)
    except KeyboardInterrupt:
        console.print("\nending")
        return
    raise DemoFailed(f"a process ended by itself\n{processes.tails()}")


def _curl(stage: Stage) -> str:
    """A push by hand, which the URL's token lets in."""
    image = stage.registry.image("v4")
    if stage.registry.sender == "dockerhub":
        repository, _, tag = image.rpartition(":")
        body = f'{{"push_data": {{"tag": "{tag}"}}, "repository": {{"repo_name": "{repository}"}}}}'
        return f"curl -d '{body}' {stage.ingress_url}/webhooks/dockerhub/{TOKEN}"
    return f"""curl -d '{{"image": "{image}"}}' {stage.ingress_url}/webhooks/generic/{TOKEN}"""


if __name__ == "__main__":
    sys.exit(main())
