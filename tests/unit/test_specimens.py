"""Specimens: the real application takes each of them for a push of the image that was asked for, and by its proof."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ingress.specimens import Pushed, example_image, own_proof, specimen
from ingress.test_webhook import SENDERS
from shared.image import ImageReference
from shared.settings import SENDERS as SERVED
from tests.ingress_harness import NEXUS_REGISTRY, SECRET, TOKEN, WITH_SECRET, RecordingQueue, client_for

NOW = datetime(2026, 11, 26, 23, 30, 5, tzinfo=UTC)
DIGEST = f"sha256:{'a' * 64}"
NO_TIME = {"quay", "artifactory"}
NO_DIGEST = {"dockerhub", "quay", "nexus"}


def image_of(sender: str) -> ImageReference:
    image = ImageReference.parse(example_image(sender))
    return ImageReference(NEXUS_REGISTRY, image.repository, image.tag) if sender == "nexus" else image


def test_there_is_one_for_every_sender() -> None:
    assert sorted(SENDERS) == sorted(SERVED)


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("digest", [None, DIGEST])
def test_the_ingress_reads_what_was_meant(sender: str, digest: str | None) -> None:
    queue = RecordingQueue()
    image = image_of(sender)
    asked = ImageReference(image.registry, image.repository, image.tag, digest)
    headers, body = specimen(sender, Pushed(asked, NOW, "an-id"))
    answer = client_for(queue).post(f"/webhooks/{sender}/{TOKEN}", data=body, headers=headers)
    assert answer.status_code == 202, answer.text
    (message,) = queue.sent
    assert message.push.image == image
    assert message.push.digest == (None if sender in NO_DIGEST else digest)
    assert message.push.pushed_at == (None if sender in NO_TIME else NOW)


@pytest.mark.parametrize("sender", WITH_SECRET)
def test_its_own_proof_is_enough(sender: str) -> None:
    headers, body = specimen(sender, Pushed(image_of(sender), NOW, "an-id"))
    proof = own_proof(sender, SECRET, body)
    answer = client_for(RecordingQueue()).post(f"/webhooks/{sender}", data=body, headers={**headers, **proof})
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("sender", sorted(set(SENDERS) - set(WITH_SECRET)))
def test_a_sender_without_a_secret_has_no_proof_of_its_own(sender: str) -> None:
    assert own_proof(sender, SECRET, b"{}") == {}


@pytest.mark.parametrize(
    ("sender", "image"),
    [
        ("dockerhub", "ghcr.io/acme/shop:v2"),
        ("ecr", "example.com/acme/shop:v2"),
        ("artifactory", "example.com/shop:v2"),
    ],
)
def test_what_a_sender_can_not_say_is_told(sender: str, image: str) -> None:
    with pytest.raises(ValueError, match="image"):
        specimen(sender, Pushed(ImageReference.parse(image), NOW, "an-id"))
