"""The examples of docs/senders.md, run as they stand there against a real ingress: each is a push of the present."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.ingress_harness import SECRET, TOKEN, environment
from tests.ingress_process import IngressProcess, ingress_process
from tests.processes import PROJECT

PAGE = (PROJECT / "docs" / "senders.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
HELPERS = "".join(line for block in BLOCKS for line in block.splitlines(keepends=True) if "() {" in line)
EXAMPLES = [block for block in BLOCKS if "$HOOKS/webhooks/" in block]
PLACEHOLDERS = re.compile(r"^HOOKS=\S+ TOKEN=<.*?> SECRET=<.*?> BODY=/tmp/delivery$", re.MULTILINE)


@pytest.fixture(scope="module")
def ingress(azurite: Any) -> Iterator[IngressProcess]:
    with ingress_process(environment(), azurite.connection_string) as process:
        yield process


def test_there_is_one_for_every_sender() -> None:
    assert len(PLACEHOLDERS.findall(PAGE)) == 1
    assert {name for block in EXAMPLES for name in re.findall(r"\$HOOKS/webhooks/(\w+)", block)} == {
        *("dockerhub", "acr", "ghcr", "quay", "harbor", "distribution", "gitlab"),
        *("artifactory", "nexus", "gcr", "ecr", "generic"),
    }


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda block: re.findall(r"/webhooks/(\w+)", block)[0])
def test_an_example_is_a_push_of_the_present(ingress: IngressProcess, example: str, tmp_path: Path) -> None:
    # Regression: the samples carried times of 2025, so that a group whose image was newer ignored what they pushed.
    before = datetime.now(UTC).replace(microsecond=0)
    names = f"HOOKS=http://127.0.0.1:{ingress.port} TOKEN={TOKEN} SECRET={SECRET} BODY={tmp_path / 'delivery'}\n"
    said = subprocess.run(
        ["bash", "-euc", f"{names}{HELPERS}{example}"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    pushes, handshakes = len(re.findall(r"^send (?!-i )", example, re.MULTILINE)), example.count("send -i -X OPTIONS")
    assert said.count('"status": "queued"') + said.count('"status":"queued"') == pushes, said
    assert len(re.findall("(?i)^webhook-allowed-origin: ", said, re.MULTILINE)) == handshakes
    messages = ingress.received()
    assert len({message.id.partition(".")[0] for message in messages}) == pushes
    assert all(message.push.pushed_at is None or message.push.pushed_at >= before for message in messages)
