"""The digest of a push: the registry's answer comes first, then the sender's."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from shared.errors import RemoteError
from shared.image import ImageReference
from tests.unit.builders import digest, push
from worker.controller.digest import digest_of
from worker.ports import Absent, Found, Lookup, Unknown

SENT, TOLD = digest("what the sender says"), digest("what the registry says")


class Registry:
    """A registry that gives the same answer for every image."""

    def __init__(self, said: Lookup) -> None:
        self.said = said
        self.asked: list[str] = []

    def lookup(self, image: ImageReference) -> Lookup:
        self.asked.append(str(image))
        return self.said

    def tags(self, image: ImageReference) -> list[str]:
        raise AssertionError("nobody asks for tags")


@pytest.mark.parametrize(
    ("said", "sent", "known"),
    [
        (Found(TOLD), SENT, TOLD),
        (Found(TOLD), None, TOLD),
        (Unknown("unreachable"), SENT, SENT),
        (Unknown("unreachable"), None, None),
    ],
)
def test_the_registry_is_asked_first_and_the_sender_is_believed_if_it_gives_no_digest(
    said: Lookup, sent: str | None, known: str | None
) -> None:
    assert digest_of(Registry(said), push("2", digest=sent)) == known


@pytest.mark.parametrize(("sent", "asked"), [(None, "docker.io/acme/shop:2"), (SENT, f"docker.io/acme/shop:2@{SENT}")])
def test_the_registry_is_asked_for_the_image_that_was_pushed(sent: str | None, asked: str) -> None:
    registry = Registry(Found(TOLD))
    digest_of(registry, push("2", digest=sent))
    assert registry.asked == [asked]


def test_a_registry_without_an_answer_is_logged() -> None:
    with capture_logs() as lines:
        digest_of(Registry(Unknown("unreachable")), push("2"))
        digest_of(Registry(Found(TOLD)), push("2"))
    assert lines == [{"event": "registry gave no digest", "log_level": "info", "detail": "unreachable"}]


def test_an_image_that_does_not_exist_is_an_error_whatever_the_sender_says() -> None:
    with pytest.raises(RemoteError) as error:
        digest_of(Registry(Absent("no manifest")), push("2"))
    assert (error.value.service, error.value.status, error.value.code) == ("registry", 404, "ManifestUnknown")
    assert error.value.message == "docker.io/acme/shop:2 does not exist in its registry: no manifest"
