"""The digest of a push: the registry's answer comes first, then the sender's."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from shared.errors import RemoteError
from shared.image import ImageReference
from tests.fakes import NoTimes
from tests.unit.builders import digest, push
from worker.controller.digest import digest_of
from worker.ports import Absent, Found, Lookup, Unknown
from worker.targets.registries import Believe

SENT, TOLD = digest("what the sender says"), digest("what the registry says")


class Registry(NoTimes):
    """A registry that gives the same answer for every image."""

    def __init__(self, said: Lookup) -> None:
        self.said = said
        self.asked: list[str] = []

    def lookup(self, image: ImageReference, running: frozenset[str] = frozenset()) -> Lookup:
        self.asked.append(str(image))
        return self.said

    def tags(self, image: ImageReference) -> list[str]:
        raise AssertionError("nobody asks for tags")


INDEX = Found(TOLD, frozenset({SENT}))
CACHE = Found(TOLD, artifact="its config is a cache's")


@pytest.mark.parametrize("said", [Found(TOLD), INDEX, CACHE])
@pytest.mark.parametrize("sent", [SENT, None])
@pytest.mark.parametrize("proof", ["own", "token", "operator", None])
@pytest.mark.parametrize("believe", ["signed", "always", "never"])
def test_what_the_registry_tells_counts_whoever_says_another_thing(
    said: Lookup, sent: str | None, proof: str | None, believe: Believe
) -> None:
    registry = Registry(said)
    assert digest_of(registry, push("2", digest=sent, proof=proof), believe) == said
    # The tag alone: an old image's digest with a new tag would pass a lookup by digest.
    assert registry.asked == ["docker.io/acme/shop:2"]


@pytest.mark.parametrize(
    ("proof", "believe", "believed"),
    [
        ("own", "signed", True),
        ("operator", "signed", True),
        ("token", "signed", False),
        (None, "signed", False),
        ("token", "always", True),
        (None, "always", True),
        ("own", "never", False),
        ("operator", "never", False),
    ],
)
def test_without_the_registrys_answer_a_sender_is_believed_that_has_proved_itself(
    proof: str | None, believe: Believe, *, believed: bool
) -> None:
    registry = Registry(Unknown("unreachable"))
    assert digest_of(registry, push("2", digest=SENT, proof=proof), believe) == (SENT if believed else None)
    assert digest_of(registry, push("2", proof=proof), believe) is None


def test_a_registry_without_an_answer_or_with_another_one_is_logged() -> None:
    with capture_logs() as lines:
        digest_of(Registry(Unknown("unreachable")), push("2"))
        digest_of(Registry(Unknown("unreachable")), push("2", digest=SENT))
        digest_of(Registry(Found(TOLD)), push("2"))
        digest_of(Registry(INDEX), push("2", digest=SENT))
        digest_of(Registry(Found(TOLD)), push("2", digest=SENT))
    unknown = {"event": "registry gave no digest", "log_level": "info", "detail": "unreachable"}
    other = {"event": "the tag points at another image than the push says", "log_level": "warning"}
    assert lines == [unknown, unknown | {"sender_is_believed": False}, other | {"sent": SENT, "found": TOLD}]


@pytest.mark.parametrize("sent", [SENT, None])
def test_an_image_that_does_not_exist_is_an_error_whatever_the_sender_says(sent: str | None) -> None:
    with pytest.raises(RemoteError) as error:
        digest_of(Registry(Absent("no manifest")), push("2", digest=sent, proof="own"), "always")
    assert (error.value.service, error.value.status, error.value.code) == ("registry", 404, "ManifestUnknown")
    assert error.value.message == "docker.io/acme/shop:2 does not exist in its registry: no manifest"
