"""Fixtures of every layer of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.azurite import Azurite


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """One Azurite for the whole run: tests keep apart by the names of their queues and containers.

    Where it is not installed the tests that need it fail, and say so: none is skipped.
    """
    with Azurite() as running:
        yield running
