"""The image's recipe: what it copies reaches the builder."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
LET_IN = [line[1:] for line in (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"]


def copied() -> list[str]:
    """The paths of the project that the Dockerfile copies."""
    lines = (PROJECT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copies = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from=" not in line]
    return [path for paths in copies for path in paths]


@pytest.mark.parametrize("path", copied())
def test_everything_that_is_copied_reaches_the_builder(path: str) -> None:
    # Regression: a new package was copied, and the ignore file kept it from the builder, so that no image was built.
    assert (PROJECT / path).exists()
    assert any(fnmatchcase(path, pattern) for pattern in LET_IN)


def test_every_package_that_is_installed_is_copied() -> None:
    packages = {path.parent.name for path in PROJECT.glob("*/__init__.py")} - {"tests", "tools"}
    assert packages <= set(copied())
