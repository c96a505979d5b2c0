"""The receivers file: what it says, every mistake in it, and what the application makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ingress.authority import ImageGlob, LimitedSecrets
from ingress.receivers import Limits, read_receivers
from shared.environment import SettingsError
from shared.settings import SENDERS
from tests.ingress_harness import TOKEN, RecordingQueue, bearer, limited_client, signed
from tests.samples import load

TEAM, OTHER = "the-token-of-team-a", "the-key-of-the-others"
ENVIRONMENT = {"TEAM_A": TEAM, "SHORT": "short", "FRAGILE": "a-token-with//slashes"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ghcr").write_bytes(OTHER.encode() + b"\r\n")
    (tmp_path / "with:colon").write_bytes(OTHER.encode())
    (tmp_path / "bytes").write_bytes(b"\xff\xfe" * 16)
    return tmp_path


def read(folder: Path, text: str, **options: Any) -> tuple[Limits, list[str]]:
    (folder / "receivers.yaml").write_text(text.replace("FOLDER", str(folder)), "utf-8")
    learned: list[str] = []
    path = str(folder / "receivers.yaml")
    limits = read_receivers(path, ENVIRONMENT, options.get("served", SENDERS), learned.append)
    return limits, learned


def problems(folder: Path, text: str, **options: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(folder, text, **options)
    return [problem.removeprefix("ACI_HOOKS_RECEIVERS: ") for problem in caught.value.problems]


def test_entries_are_grouped_by_their_sender(folder: Path) -> None:
    text = """
receivers:
  - sender: dockerhub
    secrets: [env:TEAM_A]
    images: ["docker.io/acme/*"]
  - {sender: ghcr, secrets: ["file:FOLDER/ghcr"], images: ["ghcr.io/acme/**"], proof: own}
  - {sender: ghcr, secrets: [env:TEAM_A]}
  - {sender: gcr, proof: own, images: ["gcr.io/acme/**"]}
"""
    limits, learned = read(folder, text)
    assert limits == {
        "dockerhub": (LimitedSecrets((TEAM.encode(),), (ImageGlob("docker.io/acme/*"),)),),
        "ghcr": (
            LimitedSecrets((OTHER.encode(),), (ImageGlob("ghcr.io/acme/**"),), own_proof_only=True),
            LimitedSecrets((TEAM.encode(),)),
        ),
        "gcr": (LimitedSecrets((), (ImageGlob("gcr.io/acme/**"),), own_proof_only=True),),
    }
    assert learned == [TEAM, OTHER, TEAM]


@pytest.mark.parametrize(
    ("source", "secret"), [("env:FRAGILE", ENVIRONMENT["FRAGILE"]), ("file:FOLDER/with:colon", OTHER)]
)
def test_a_key_may_hold_what_a_url_may_not_and_a_path_what_a_source_is_split_by(
    folder: Path, source: str, secret: str
) -> None:
    limits, _ = read(folder, f"receivers: [{{sender: ghcr, secrets: ['{source}']}}]")
    assert limits == {"ghcr": (LimitedSecrets((secret.encode(),)),)}


@pytest.mark.parametrize("image", ["*/acme/*", "**/shop", "localhost/acme", "*.azurecr.io/acme/shop"])
def test_an_image_may_be_of_any_registry_whose_place_is_written(folder: Path, image: str) -> None:
    limits, _ = read(folder, f"receivers: [{{sender: generic, secrets: [env:TEAM_A], images: ['{image}']}}]")
    assert limits["generic"][0].images == (ImageGlob(image),)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{sender: dockerhub}", "receivers[0]: secrets: name at least one, as env:NAME or file:PATH"),
        ("{sender: gcr}", "receivers[0]: secrets: name at least one, as env:NAME or file:PATH"),
        ("{sender: quay, secrets: [env:TEAM_A], proof: own}", "receivers[0]: proof: quay has no proof of its own"),
        ("{sender: ghcr, secrets: [env:NONE]}", "receivers[0].secrets[0]: env:NONE is not set"),
        (
            "{sender: ghcr, secrets: [env:TEAM_A, env:SHORT]}",
            "receivers[0].secrets[1]: env:SHORT must have",
        ),
        ("{sender: quay, secrets: [env:FRAGILE]}", "receivers[0].secrets[0]: env:FRAGILE must not begin"),
        ("{sender: ghcr, secrets: ['file:/none']}", "receivers[0].secrets[0]: file:/none cannot be read"),
        ("{sender: ghcr, secrets: ['file:FOLDER/bytes']}", "receivers[0].secrets[0]: file:"),
        *(
            (f"{{sender: ghcr, secrets: ['{source}']}}", "receivers[0].secrets[0]: is neither env:NAME nor file:PATH")
            for source in ("env", "file", "vault:TEAM_A", "")
        ),
        *(
            (
                f"{{sender: ghcr, secrets: [env:TEAM_A], images: ['{image}']}}",
                f"receivers[0].images[0]: '{image[:80]}' must begin with a registry",
            )
            for image in ("docker.io", "acme/docker.io/shop", "a" * 81)
        ),
        ("{sender: ghcr, secrets: [in-plain-sight-123]}", "receivers[0].secrets[0]: is neither env:NAME nor file:PATH"),
        ("{sender: ghcr, secrets: [env:TEAM_A], image: [a]}", "receivers[0].image: "),
        ("{sender: ghcr, secrets: [env:TEAM_A], images: []}", "receivers[0].images: "),
        ("{sender: ghcr, secrets: [env:TEAM_A], images: [acme/*]}", "receivers[0].images[0]: 'acme/*' must begin with"),
        ("{sender: github, secrets: [env:TEAM_A]}", "receivers[0].sender: "),
        ("{sender: ghcr, secrets: [env:TEAM_A], proof: token}", "receivers[0].proof: "),
        ("text", "receivers[0]: "),
    ],
)
def test_mistakes_are_told_with_their_place(folder: Path, entry: str, expected: str) -> None:
    (problem,) = problems(folder, f"receivers: [{entry}]")
    assert problem.startswith(expected)
    assert "in-plain-sight" not in problem


def test_all_mistakes_at_once(folder: Path) -> None:
    text = "receivers: [{sender: ghcr, secrets: [env:SHORT, env:NONE]}, {sender: quay, proof: own}]"
    assert len(problems(folder, text)) == 4


def test_a_sender_that_is_not_served(folder: Path) -> None:
    text = "receivers: [{sender: ghcr, secrets: [env:TEAM_A]}]"
    (problem,) = problems(folder, text, served=("quay",))
    assert problem.startswith("receivers[0]: ghcr is not among ACI_HOOKS_SENDERS")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("receivers: [", "FILE: is not YAML at line 1: expected the node content, but found '<stream end>'"),
        ("receivers: !!python/object:os.system {}", "FILE: is not YAML at line 1: could not determine a constructor"),
        ("receivers: 2026-13-01", "FILE: is not YAML: month must be in 1..12"),
        ("[" * 100_000, "FILE: is not YAML: maximum recursion depth exceeded"),
        ("", "the file: "),
        ("receivers: []", "receivers: "),
        ("#" * 1_048_576, "the file: "),
        ("#" * 1_048_577, "FILE: has more than 1048576 bytes"),
        ("targets: []", "receivers: "),
    ],
)
def test_mistakes_in_the_file_are_named(folder: Path, text: str, what: str) -> None:
    file = str(folder / "receivers.yaml")
    assert any(problem.replace(file, "FILE").startswith(what) for problem in problems(folder, text))


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(SettingsError, match=r"ACI_HOOKS_RECEIVERS: /none\.yaml: cannot be read"):
        read_receivers("/none.yaml", {}, SENDERS, lambda _: None)


LIMITS: Limits = {
    "quay": (LimitedSecrets((TEAM.encode(),), (ImageGlob("quay.io/acme/*"),)),),
    "ghcr": (LimitedSecrets((OTHER.encode(),), (ImageGlob("ghcr.io/acme/**"),), own_proof_only=True),),
}


def quay(name: str) -> bytes:
    return b'{"docker_url": "quay.io/%s", "updated_tags": ["1"]}' % name.encode()


def test_a_push_outside_is_ignored_and_says_why() -> None:
    queue = RecordingQueue()
    client = limited_client(queue, LIMITS)
    answer = client.post(f"/webhooks/quay/{TEAM}", data=quay("other/shop"))
    assert (answer.status_code, queue.sent) == (200, [])
    assert answer.get_json() == {
        "status": "ignored",
        "reason": "quay.io/other/shop is not among the images that this secret may report",
    }
    assert client.post(f"/webhooks/quay/{TEAM}", data=quay("acme/shop")).status_code == 202
    assert client.post(f"/webhooks/quay/{TOKEN}", data=quay("other/shop")).status_code == 202
    assert client.post(f"/webhooks/dockerhub/{TEAM}", data=load("dockerhub", "push").body).status_code == 401


def test_an_own_proof_cannot_be_left_out() -> None:
    queue = RecordingQueue()
    client = limited_client(queue, LIMITS)
    body, event = load("ghcr", "push").body, {"X-GitHub-Event": "package"}
    assert client.post(f"/webhooks/ghcr/{OTHER}", data=body, headers=event).status_code == 401
    assert client.post("/webhooks/ghcr", data=body, headers={**event, **bearer(OTHER)(body)}).status_code == 401
    proof = signed("X-Hub-Signature-256", "sha256", OTHER, "sha256=")(body)
    assert client.post("/webhooks/ghcr", data=body, headers={**event, **proof}).status_code == 202
    assert [message.push.proof for message in queue.sent] == ["own"]
