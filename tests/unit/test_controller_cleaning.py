"""Cleaning: the secrets that a group may hold are known before anything that it says is kept."""

from __future__ import annotations

from collections.abc import Mapping

from shared.errors import RemoteError
from tests.unit.builders import OLD, SHOP, event, group, running
from tests.unit.controller_builders import Bench
from worker.controller.cleaning import Cleaning
from worker.policies.parse import parse_policy
from worker.targets.target import ContainerRule, Target

TARGET = Target(SHOP, {"web": ContainerRule(parse_policy("any"))}, secrets={"registry/r.io": "env:R"})
SAYS = group(
    OLD,
    {"web": running(-99, event("Failed", 5, "denied for first, denied for second", "Warning"))},
    imageRegistryCredentials=[{"server": "r.io", "username": "u"}],
)


class Vault:
    """One secret, which is rotated; what was read of it is known."""

    def __init__(self) -> None:
        self.value = "first"
        self.known: list[str] = []

    def resolve(self, sources: Mapping[str, str]) -> dict[str, str]:
        self.known.append(self.value)
        return dict.fromkeys(sources, self.value)

    def redact(self, text: str) -> str:
        for value in self.known:
            text = text.replace(value, "***")
        return text


def test_a_secret_that_was_rotated_is_read_again_for_the_change_that_brought_it() -> None:
    # Regression: a worker read the secrets once in its life. Another one put their new values onto the group, and what
    # Azure said of those was written down as it came.
    vault = Vault()
    cleaning = Cleaning(Bench().ports(resolve=vault.resolve, redact=vault.redact))
    for _ in range(3):
        assert cleaning.cleaned(SAYS, TARGET, 1).warnings() == ["Failed: denied for ***, denied for second"]
    vault.value = "second"
    for _ in range(3):
        assert cleaning.cleaned(SAYS, TARGET, 2).warnings() == ["Failed: denied for ***, denied for ***"]
    assert vault.known == ["first", "second"]


def test_secrets_that_can_not_be_read_are_tried_again() -> None:
    bench = Bench()
    bench.on("resolve", RemoteError("key vault", 503, "Http503", "down"))
    cleaning = Cleaning(bench.ports())
    for _ in range(3):
        cleaning.cleaned(SAYS, TARGET, 1)
    assert (bench.calls.count("before resolve"), len(bench.resolved)) == (2, 1)
