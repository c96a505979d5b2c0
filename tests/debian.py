"""Programs of Debian's packages, for tests that need one: installed, or only unpacked, where they are missing.

A test is never skipped for their lack.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.processes import PROJECT

INSTALL_SECONDS = 300.0


def installed(package: str, *programs: str) -> str:
    """The path of the first of the programs that there is; Debian's package is installed if there is none."""
    if found := _which(programs):
        return found
    with _one_at_a_time():
        if found := _which(programs):
            return found
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise AssertionError(
                f"{package} is missing: install it (apt-get install {package}), then run the tests again"
            )
        _apt_get("update")
        said = _apt_get("install", "-y", "--no-install-recommends", package)
        if found := _which(programs):
            return found
        raise AssertionError(f"{package} is missing, and apt-get could not install it:\n{said[-2000:]}")


def unpacked(package: str, program: str) -> str:
    """The path of a program; without one, of that in Debian's package, which is unpacked below build/.

    Nothing is installed, so no service is started, and everybody may do it. It is for programs that need no other one.
    """
    folder = PROJECT / "build" / package
    path = folder / "usr" / "bin" / program
    with _one_at_a_time():
        if found := _which([program, str(path)]):
            return found
        if not shutil.which("apt-get"):
            raise AssertionError(f"{program} is missing: install it ({package}), then run the tests again")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as download:
            said = _apt_get("download", package, folder=download)
            if not list(Path(download).glob("*.deb")):
                _apt_get("update")
                said = _apt_get("download", package, folder=download)
            for archive in Path(download).glob("*.deb"):
                subprocess.run(["dpkg-deb", "--extract", str(archive), str(folder)], check=True, capture_output=True)
    if found := _which([str(path)]):
        return found
    raise AssertionError(f"{package} is missing, and apt-get could not download it:\n{said[-2000:]}")


def _which(programs: Sequence[str]) -> str | None:
    return next((path for program in programs if (path := shutil.which(program))), None)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    # Several test processes may find the package missing at once.
    with (Path(tempfile.gettempdir()) / "aci-hooks-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _apt_get(*arguments: str, folder: str | None = None) -> str:
    done = subprocess.run(
        ["apt-get", "-o", f"DPkg::Lock::Timeout={INSTALL_SECONDS:.0f}", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=2 * INSTALL_SECONDS,
    )
    return done.stdout + done.stderr
