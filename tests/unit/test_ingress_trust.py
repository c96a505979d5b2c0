"""What a delivery may do with the secret that it shows, through the whole application; and what replays may do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingress.delivery import Delivery, Malformed
from ingress.senders import all_senders
from tests.ingress_harness import SECRET, TOKEN, Proof, RecordingQueue, bearer, client_for, ways
from tests.samples import load

GHCR_EVENT = {"X-GitHub-Event": "package"}


@pytest.fixture
def queue() -> RecordingQueue:
    return RecordingQueue()


def post(queue: RecordingQueue, sender: str, body: bytes, proof: Proof) -> tuple[int, dict[str, object]]:
    headers = {**(GHCR_EVENT if sender == "ghcr" else {}), **proof(body)}
    answer = client_for(queue).post(f"/webhooks/{sender}", data=body, headers=headers)
    return answer.status_code, answer.get_json()


def harbor(host: str) -> bytes:
    return load("harbor", "push").body.replace(b"harbor.example.test:8443", host.encode())


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "ghcr.io", "acme.azurecr.io", "quay.io:443"])
@pytest.mark.parametrize("proof", [bearer(TOKEN), ways("harbor", SECRET)["Authorization"]], ids=["token", "own"])
def test_a_self_hosted_sender_does_not_speak_for_a_cloud(queue: RecordingQueue, host: str, proof: Proof) -> None:
    status, body = post(queue, "harbor", harbor(host), proof)
    assert (status, body["status"], queue.sent) == (200, "ignored", [])
    assert "may report images of" in str(body["reason"])
    assert post(queue, "harbor", harbor("harbor.elsewhere.test"), proof)[0] == 202


def test_what_is_passed_over_does_not_hold_up_the_rest(queue: RecordingQueue) -> None:
    body = load("harbor", "push").body
    event = json.loads(body)
    (resource,) = event["event_data"]["resources"]
    event["event_data"]["resources"].append({**resource, "tag": "other", "resource_url": "docker.io/a/b:other"})
    assert post(queue, "harbor", json.dumps(event).encode(), bearer(TOKEN))[0] == 202
    assert [item.push.registry for item in queue.sent] == ["harbor.example.test:8443"]


def test_generic_speaks_for_every_registry(queue: RecordingQueue) -> None:
    for image in ("docker.io/acme/shop:1", "acme.azurecr.io/shop:1", "harbor.example.test/a/b:1"):
        assert post(queue, "generic", json.dumps({"image": image}).encode(), bearer(TOKEN))[0] == 202
    assert len(queue.sent) == 3


def test_a_message_says_how_far_it_is_proven(queue: RecordingQueue) -> None:
    body = load("ghcr", "push").body
    post(queue, "ghcr", body, bearer(TOKEN))
    post(queue, "ghcr", body, ways("ghcr", SECRET)["HMAC-SHA256"])
    post(queue, "ghcr", body, lambda sent: {**bearer(TOKEN)(sent), **ways("ghcr", SECRET)["HMAC-SHA256"](sent)})
    assert [item.push.proof for item in queue.sent] == ["token", "own", "own"]


WITHOUT_TIME = {
    "generic": b'{"image": "acme/shop:1.0"}',
    "artifactory": load("artifactory", "push").body,
}


def without_time(sender: str) -> bytes:
    if sender != "ghcr":
        return WITHOUT_TIME[sender]
    event = json.loads(load("ghcr", "push").body)
    del event["package"]["package_version"]["updated_at"]
    return json.dumps(event).encode()


@pytest.mark.parametrize("sender", ["generic", "artifactory", "ghcr"])
def test_a_replay_of_a_signed_delivery_without_a_time_is_the_same_push(queue: RecordingQueue, sender: str) -> None:
    body, proof = without_time(sender), ways(sender, SECRET)["HMAC-SHA256"]
    for _ in range(2):
        assert post(queue, sender, body, proof)[0] == 202
    assert post(queue, sender, body + b" ", proof)[0] == 202  # other bytes, which only a holder of the key can sign
    first, replayed, other = (message.id for message in queue.sent)
    assert first == replayed
    assert first != other
    assert all(item.push.pushed_at is None for item in queue.sent)


@pytest.mark.parametrize(
    ("body", "proof"),
    [
        (b'{"image": "acme/shop:1.0"}', bearer(TOKEN)),
        (b'{"image": "acme/shop:1.0", "pushed_at": "2026-01-31T12:00:00Z"}', ways("generic", SECRET)["HMAC-SHA256"]),
    ],
    ids=["a token signs nothing", "a time says which is older"],
)
def test_other_deliveries_are_new_each_time(queue: RecordingQueue, body: bytes, proof: Proof) -> None:
    for _ in range(2):
        assert post(queue, "generic", body, proof)[0] == 202
    first, second = (message.id for message in queue.sent)
    assert first != second


@pytest.mark.parametrize("ahead", [timedelta(minutes=1), timedelta(days=3650)])
def test_a_push_from_the_future_was_made_when_it_arrived(queue: RecordingQueue, ahead: timedelta) -> None:
    claimed = datetime.now(UTC) + ahead
    body = json.dumps({"image": "acme/shop:1", "pushed_at": claimed.isoformat()}).encode()
    assert post(queue, "generic", body, bearer(TOKEN))[0] == 202
    (message,) = queue.sent
    assert message.push.pushed_at == message.received_at


def test_a_replay_of_a_signed_delivery_from_the_future_is_the_same_push(queue: RecordingQueue) -> None:
    body, proof = (
        b'{"image": "acme/shop:1", "pushed_at": "2150-01-01T00:00:00Z"}',
        ways("generic", SECRET)["HMAC-SHA256"],
    )
    for _ in range(2):
        assert post(queue, "generic", body, proof)[0] == 202
    first, replayed = (message.id for message in queue.sent)
    assert first == replayed, "or it would be the newest push each time"


def resident() -> int:
    """Megabytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4096 // 2**20


BATCHES = {
    "quay": {"docker_url": "quay.io/acme/shop", "updated_tags": ["no tag at all"] * 40},
    "harbor": {
        "type": "PUSH_ARTIFACT",
        "event_data": {
            "resources": [{"tag": "no tag at all", "resource_url": "harbor.example.test/a/b:c"}] * 40,
            "repository": {"repo_full_name": "a/b"},
        },
    },
    "acr": [
        {
            "eventType": "Microsoft.ContainerRegistry.ImagePushed",
            "data": {"target": {"repository": "a/b", "tag": "no tag"}, "request": {"host": "acme.azurecr.io"}},
        }
    ]
    * 40,
}


@pytest.mark.parametrize("sender", BATCHES)
def test_hundreds_of_malformed_batches_leave_nothing_behind(queue: RecordingQueue, sender: str) -> None:
    client, body = client_for(queue), json.dumps(BATCHES[sender]).encode()
    filler = b" " * 200_000  # so that what is kept of a body shows: 40 MB in all

    def refuse(times: int) -> None:
        for _ in range(times):
            assert client.post(f"/webhooks/{sender}/{TOKEN}", data=body + filler).status_code == 400

    refuse(30)
    before = resident()
    refuse(200)
    assert resident() - before < 25


def test_the_refusal_of_a_batch_names_what_is_wrong() -> None:
    parse = all_senders(None, None)["quay"].parse  # type: ignore[arg-type]
    body = json.dumps(BATCHES["quay"]).encode()
    with pytest.raises(Malformed, match="not a tag"):
        parse(Delivery.of("quay", [], body, datetime.now(UTC)))
