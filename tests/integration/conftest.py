"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.azurite import Azurite
from tests.site import Site, running_site


@pytest.fixture
def site(azurite: Azurite) -> Iterator[Site]:
    """A fresh site on the run's Azurite."""
    with running_site(azurite) as running:
        yield running
