"""Fixtures of every layer of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.azurite import Azurite

# How fast a machine is says nothing of what a property holds for.
settings.register_profile("whatever machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("whatever machine")


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """One Azurite for the whole run: tests keep apart by the names of their queues and containers.

    Where it is not installed the tests that need it fail, and say so: none is skipped.
    """
    with Azurite() as running:
        yield running
