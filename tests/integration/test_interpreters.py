"""What a whole process imports and how it ends: each test here starts an interpreter of its own."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import PATIENCE, PROJECT, environment_of

IMPORTS = """
import os, sys
from pathlib import Path
{code}
Path(sys.argv[1]).write_text(" ".join(name for name in sys.modules if name.startswith("opentelemetry")))
"""
INGRESS = """
from ingress.__main__ import _assemble, _configuration
from shared import tracing
settings, limits, redaction = _configuration(dict(os.environ))
with tracing.traced(settings, "tests", redaction):
    app = _assemble(settings, limits)
"""
WORKER = """
from worker.commands.opening import Opening
from shared import tracing
import worker.commands.run, worker.commands.push, worker.adapters.monitoring
deployment = Opening(dict(os.environ))()
with tracing.traced(deployment.settings, "tests", deployment.redaction):
    deployment.worker()
"""
COMMAND = """
from click.testing import CliRunner
from aci_hooks.__main__ import main
assert CliRunner().invoke(main, ["schema"]).exit_code == 0
"""


@pytest.mark.parametrize(("code", "traced"), [(INGRESS, False), (WORKER, False), (COMMAND, False), (WORKER, True)])
def test_nothing_of_opentelemetry_is_imported_unless_it_is_asked_for(code: str, traced: bool, tmp_path: Path) -> None:
    environment = {
        "AZURE_STORAGE_CONNECTION_STRING": "UseDevelopmentStorage=true",
        "ACI_HOOKS_WEBHOOK_TOKENS": "a-token-of-16-ch",
        "AZURE_SUBSCRIPTION_ID": "sub",
        "RESOURCE_GROUP_NAME": "web",
        "CONTAINER_GROUP_NAME": "shop",
        **({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"} if traced else {}),
    }
    imported = tmp_path / "imported"
    subprocess.run(
        [sys.executable, "-c", IMPORTS.replace("{code}", code), str(imported)],
        cwd=PROJECT,
        env=environment_of(environment),
        check=True,
        timeout=PATIENCE,
    )
    assert bool(imported.read_text()) is traced


@pytest.mark.parametrize("asked", [["--version"], ["--help"]])
def test_what_needs_no_sdk_imports_none(asked: list[str]) -> None:
    assert heavy_modules("-c", RUN.format(asked)) == set()


@pytest.mark.parametrize(
    ("words", "completed"),
    [("aci-hooks st", {"status"}), ("aci-hooks history --fa", {"--failed"}), ("aci-hooks dead-letters pu", {"purge"})],
)
def test_completion_of_commands_and_options_imports_no_sdk(words: str, completed: set[str]) -> None:
    asked = {"_ACI_HOOKS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    assert heavy_modules("-c", RUN.format([]), **asked) == set()
    context = {"env": {**environment_of({}), **asked}, "capture_output": True, "text": True, "check": True}
    out = subprocess.run([sys.executable, "-m", "aci_hooks"], **context, cwd=PROJECT).stdout  # type: ignore[call-overload]
    assert {line.partition(",")[2] for line in out.splitlines()} == completed


RUN = """
import sys
from aci_hooks.__main__ import main
try:
    main({}, prog_name="aci-hooks")
except SystemExit as end:
    assert not end.code, end.code
print(sorted(sys.modules), file=sys.stderr)
"""


def heavy_modules(*arguments: str, **settings: str) -> set[str]:
    """What a run imported of all that takes its time."""
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env=environment_of(settings),
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {name.partition(".")[0] for name in ast.literal_eval(ended.stderr)}
    return imported & {"azure", "flask", "gunicorn", "httpx", "pydantic", "rich", "structlog", "requests", "yaml"}


def test_a_read_that_hangs_does_not_hold_up_the_end_of_the_program() -> None:
    program = """
import threading
from tests.unit.dashboard_outside import Outside

outside, hangs = Outside(), threading.Event()

def hang(call):
    hangs.set()
    threading.Event().wait()

outside.groups.probe = hang
threading.Thread(target=outside.look, daemon=True).start()
hangs.wait()
"""
    subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=True, timeout=PATIENCE)
