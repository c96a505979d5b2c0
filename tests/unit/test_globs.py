"""Globs over names with slashes."""

from __future__ import annotations

import pytest

from shared.globs import glob_pattern


@pytest.mark.parametrize(
    ("glob", "name", "matches"),
    [
        ("docker.io/acme/*", "docker.io/acme/shop", True),
        ("docker.io/acme/*", "docker.io/acme/team-b/shop", False),
        ("docker.io/acme/**", "docker.io/acme/team-b/shop", True),
        ("docker.io/acme/shop-?", "docker.io/acme/shop-1", True),
        ("docker.io/acme/shop?1", "docker.io/acme/shop/1", False),
        ("docker.io/acme/shop", "docker.io/acme/shop-1", False),
        ("docker.io/acme/shop", "dockerxio/acme/shop", False),
        ("Web/*", "web/shop", False),
    ],
)
def test_what_a_glob_matches(glob: str, name: str, *, matches: bool) -> None:
    assert bool(glob_pattern(glob).fullmatch(name)) == matches


def test_capitals_make_no_difference_where_the_caller_says_so() -> None:
    assert glob_pattern("Web/*", ignore_case=True).fullmatch("web/Shop")
