"""Every delivery of the corpus gets its right answer from the whole application."""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shared.image import ImageReference
from shared.settings import SENDERS
from tests.ingress_harness import SECRET, TOKEN, RecordingQueue, client_for, ways
from tests.samples.corpus import CorpusDelivery, corpus

QUEUE = RecordingQueue()
REGISTRIES = {"nexus": "ACI_HOOKS_NEXUS_REGISTRY", "artifactory": "ACI_HOOKS_ARTIFACTORY_REGISTRY"}


@cache
def client(settings: tuple[tuple[str, str], ...]) -> FlaskClient:
    """A client of the application with these hosts of registries; the application is made once for all of them."""
    return client_for(QUEUE, **{REGISTRIES[name]: value for name, value in settings})


def send(delivery: CorpusDelivery, path: str, **headers: str) -> TestResponse:
    QUEUE.sent.clear()
    hosts = tuple(delivery.settings.items())
    return client(hosts).post(path, data=delivery.body, headers={**delivery.headers, **headers})


@pytest.mark.parametrize("delivery", corpus(), ids=str)
def test_each_delivery_of_the_corpus_gets_its_answer(delivery: CorpusDelivery) -> None:
    answer = send(delivery, f"/webhooks/{delivery.sender}/{TOKEN}")
    assert answer.status_code == delivery.status, answer.get_data(as_text=True)
    assert [(str(message.push.image), message.push.digest) for message in QUEUE.sent] == delivery.pushes
    told = answer.get_json()
    if delivery.answer is not None:
        assert told == delivery.answer
    assert delivery.reason in told.get("reason", "")
    assert delivery.detail in told.get("detail", "")


@pytest.mark.parametrize("sender", SENDERS)
def test_a_sender_s_own_proofs_open_as_the_token_does(sender: str) -> None:
    push = next(delivery for delivery in corpus() if delivery.sender == sender)
    for proof in ways(sender, SECRET).values():
        assert send(push, f"/webhooks/{sender}", **proof(push.body)).status_code == 202


HOSTS = {
    "acr": "acmereg.azurecr.io",
    "quay": "quay.io",
    "harbor": "harbor.corp.test",
    "distribution": "registry.corp.test",
    "gitlab": "registry.gitlab.corp.test",
    "artifactory": "acme.jfrog.test",
    "gcr": "europe-docker.pkg.dev",
    "ghcr": "ghcr.io",
    "generic": "ghcr.io",
}
"""The senders whose deliveries name a host, and the one in the first delivery of each."""


@pytest.mark.parametrize("spelling", ["{host}:443", "{host}:80", "{HOST}", "{HOST}:443"])
@pytest.mark.parametrize(("sender", "host"), HOSTS.items())
def test_every_sender_reads_hosts_alike(sender: str, host: str, spelling: str) -> None:
    push = next(delivery for delivery in corpus() if delivery.sender == sender)
    written = spelling.format(host=host, HOST=host.upper()).encode()
    body = _with_host(push.body, host.encode(), written)
    assert body != push.body
    answer = send(replace(push, body=body), f"/webhooks/{sender}/{TOKEN}")
    assert answer.status_code == 202
    assert [(str(message.push.image), message.push.digest) for message in QUEUE.sent] == push.pushes


def _with_host(body: bytes, host: bytes, written: bytes) -> bytes:
    """The delivery with its host written in another way; that of Pub/Sub is in the encoded data."""
    message = json.loads(body).get("message")
    if message is None:
        return body.replace(host, written)
    data = base64.b64decode(message["data"]).replace(host, written)
    return json.dumps({"message": {**message, "data": base64.b64encode(data).decode()}}).encode()


def test_the_corpus_is_large_and_covers_every_sender_and_every_answer() -> None:
    assert len(corpus()) >= 300
    assert Counter(delivery.sender for delivery in corpus()).keys() == set(SENDERS)
    kinds = {(delivery.sender, delivery.status) for delivery in corpus()}
    assert kinds == {(sender, status) for sender in SENDERS for status in (200, 202, 400)}


def test_every_row_says_what_is_right_and_which_page_says_so() -> None:
    for delivery in corpus():
        right = {202: delivery.pushes, 200: delivery.reason or delivery.answer, 400: delivery.detail}
        assert right[delivery.status], delivery
        assert bool(delivery.pushes) == (delivery.status == 202), delivery
        assert delivery.page.startswith("https://"), delivery
        for image, _ in delivery.pushes:
            assert str(ImageReference.parse(image)) == image


def test_no_two_rows_are_the_same() -> None:
    names = [str(delivery) for delivery in corpus()]
    assert len(set(names)) == len(names)
    contents = Counter(
        (delivery.sender, delivery.body, *delivery.headers.items(), *delivery.settings.items()) for delivery in corpus()
    )
    assert [content for content, count in contents.items() if count > 1] == []
