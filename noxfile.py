"""`make versions`: unit and property tests on every supported Python that is installed. Nothing is downloaded."""

from __future__ import annotations

import os
import shutil
import subprocess

import nox

nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"

PYTHONS = nox.project.python_versions(nox.project.load_toml("pyproject.toml"))
"""Those that the classifiers in pyproject.toml name."""


def offer_all_of_pyenv() -> None:
    """Have pyenv's `python3.12` and the like answer for every version that it has installed, not for chosen ones."""
    if pyenv := shutil.which("pyenv"):
        list_installed = [pyenv, "versions", "--bare"]
        installed = subprocess.run(  # noqa: S603
            list_installed, capture_output=True, text=True, check=True
        )
        os.environ.setdefault("PYENV_VERSION", ":".join(installed.stdout.split()))


offer_all_of_pyenv()


@nox.session(python=PYTHONS)
def unit(session: nox.Session) -> None:
    """Unit and property tests with the locked packages (nox -s unit-3.13 -- -k words)."""
    session.install(
        "--quiet",
        "--require-hashes",
        "-r",
        "requirements/dev.txt",
        "-r",
        "requirements/build.txt",
    )
    session.install("--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")
    session.run(
        "python",
        "-m",
        "pytest",
        "tests/unit",
        "tests/property",
        "-q",
        "-n",
        "2",
        *session.posargs,
    )
