"""What a secret may say: whose registries a sender speaks for, the receivers file, and how far a proof goes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ingress.authentication import BasicPassword, Bearer, FixedHeader, Hmac, Oidc, UrlToken
from ingress.authority import (
    Authority,
    ImageGlob,
    LimitedSecrets,
    authorities_of,
    speaker_for,
    standing_of,
    why_not,
)
from ingress.delivery import Delivery
from shared.errors import RemoteError
from shared.push import Push
from shared.settings import SENDERS
from tests.ingress_harness import signed

TOKEN, KEY, TEAM = b"a-token-for-all-of-them", b"the-key-of-one-sender", b"the-key-of-one-team"
HMAC = Hmac("X-Sig", "sha256")


def delivery(*fields: tuple[str, bytes], token: bytes | None = None, body: bytes = b"{}") -> Delivery:
    return Delivery.of("ghcr", fields, body, datetime(2026, 1, 1, tzinfo=UTC), token)


def signature(key: bytes, body: bytes = b"{}") -> tuple[str, bytes]:
    return "X-Sig", signed("X-Sig", "sha256", key.decode())(body)["X-Sig"].encode()


def push(image: str = "ghcr.io/acme/shop") -> Push:
    registry, _, repository = image.partition("/")
    return Push(sender="ghcr", registry=registry, repository=repository, tag="1")


@pytest.mark.parametrize(
    ("registry", "speaker"),
    [
        ("docker.io", "dockerhub"),
        ("registry-1.docker.io", "dockerhub"),
        ("registry-1.docker.io:443", "dockerhub"),
        ("docker.io:443", "dockerhub"),
        ("ghcr.io", "ghcr"),
        ("quay.io", "quay"),
        ("quay.io:8443", "quay"),
        ("registry.gitlab.com", "gitlab"),
        ("acme.azurecr.io", "acr"),
        ("acme.azurecr.cn", "acr"),
        ("gcr.io", "gcr"),
        ("eu.gcr.io", "gcr"),
        ("europe-docker.pkg.dev", "gcr"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "ecr"),
        ("harbor.example.test", None),
        ("azurecr.io", None),
        ("docker.io.example.test", None),
        ("notdocker.io", None),
        ("localhost:5000", None),
        ("[::1]:5000", None),
    ],
)
def test_a_registry_of_a_cloud_has_one_speaker(registry: str, speaker: str | None) -> None:
    assert speaker_for(registry) == speaker
    allowed = {sender for sender in SENDERS if why_not(sender, registry) is None}
    hosted = set(SENDERS) - {"dockerhub", "acr", "gcr", "ecr"}
    assert allowed == ({speaker, "generic"} if speaker else hosted)


def test_the_reason_says_who_may() -> None:
    assert why_not("harbor", "docker.io") == "only dockerhub and generic may report images of docker.io, not harbor"
    assert why_not("acr", "evil.test") == "evil.test is not one of acr's registries (*.azurecr.*)"
    assert why_not("gcr", "evil.test") == "evil.test is not one of gcr's registries (gcr.io, *.gcr.io, *.pkg.dev)"


@pytest.mark.parametrize(
    ("glob", "name", "expected"),
    [
        ("docker.io/acme/*", "docker.io/acme/shop", True),
        ("docker.io/acme/*", "docker.io/acme/shop/api", False),
        ("docker.io/acme/*", "docker.io/acme2/shop", False),
        ("ghcr.io/acme/**", "ghcr.io/acme/shop/api", True),
        ("ghcr.io/**/api", "ghcr.io/acme/shop/api", True),
        ("ghcr.io/acme/sh?p", "ghcr.io/acme/shop", True),
        ("ghcr.io/acme/sh?p", "ghcr.io/acme/sh/p", False),
        ("ghcr.io/acme.shop", "ghcr.io/acmexshop", False),
        ("**", "ghcr.io/acme/shop", True),
        ("*/acme/shop", "ghcr.io/acme/shop", True),
        ("ghcr.io/acme/shop", "xghcr.io/acme/shop", False),
    ],
)
def test_globs(glob: str, name: str, expected: bool) -> None:
    assert ImageGlob(glob).matches(name) is expected


def test_tokens_are_for_the_url_and_bearer_alone() -> None:
    authorities = authorities_of((FixedHeader("X-Api-Key"), BasicPassword()), (b"common",), (b"own",), ())

    def proof(given: Delivery) -> str | None:
        standing = standing_of(given, authorities)
        assert (standing is not None) == any(authority.may_be_used(given) for authority in authorities)
        return standing.proof_of(push()) if standing else None

    assert proof(delivery(token=b"common")) == "token"
    assert proof(delivery(("Authorization", b"Bearer common"))) == "token"
    assert proof(delivery(("X-Api-Key", b"own"))) == "own"
    assert proof(delivery(("X-Api-Key", b"own"), token=b"common")) == "own"
    assert proof(delivery(token=b"own")) is None
    assert proof(delivery(("Authorization", b"Bearer own"))) is None
    assert proof(delivery(("X-Api-Key", b"common"))) is None


def test_every_scheme_is_asked_and_every_secret_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def compare(_given: bytes, secret: bytes) -> bool:
        seen.append(secret)
        return True

    monkeypatch.setattr("ingress.authentication.hmac.compare_digest", compare)
    given = delivery(("X-Api-Key", b"x"), token=b"x")
    authorities = authorities_of((FixedHeader("X-Api-Key"), BasicPassword()), (b"1", b"2"), (b"3", b"4"), ())
    assert standing_of(given, authorities)
    assert seen == [b"1", b"2", b"1", b"2", b"3", b"4", b"3", b"4"]


def test_an_entry_says_no_more_than_its_images() -> None:
    limits = [LimitedSecrets((TEAM,), (ImageGlob("ghcr.io/acme/*"),))]
    authorities = authorities_of((HMAC,), (TOKEN,), (KEY,), limits)
    for given, proof in ((delivery(token=TEAM), "token"), (delivery(signature(TEAM)), "own")):
        standing = standing_of(given, authorities)
        assert standing
        assert standing.proof_of(push("ghcr.io/acme/shop")) == proof
        assert standing.proof_of(push("ghcr.io/other/shop")) is None
    standing = standing_of(delivery(signature(KEY), token=TEAM), authorities)
    assert standing
    assert standing.proof_of(push("ghcr.io/other/shop")) == "own"


def test_an_entry_with_several_images_says_each_of_them() -> None:
    limits = [LimitedSecrets((TEAM,), (ImageGlob("ghcr.io/acme/*"), ImageGlob("ghcr.io/base/*")))]
    standing = standing_of(delivery(token=TEAM), authorities_of((HMAC,), (TOKEN,), (KEY,), limits))
    assert standing
    proofs = {name: standing.proof_of(push(f"ghcr.io/{name}/shop")) for name in ("acme", "base", "other")}
    assert proofs == {"acme": "token", "base": "token", "other": None}


def test_a_secret_of_the_receivers_file_stays_limited_if_a_setting_contains_it_too() -> None:
    limits = [LimitedSecrets((TOKEN, KEY), (ImageGlob("ghcr.io/acme/*"),))]
    authorities = authorities_of((HMAC,), (TOKEN,), (KEY,), limits)
    for given in (delivery(token=TOKEN), delivery(signature(KEY))):
        standing = standing_of(given, authorities)
        assert standing
        assert standing.proof_of(push("ghcr.io/other/shop")) is None


def test_own_proof_only() -> None:
    authorities = authorities_of((HMAC,), (TOKEN,), (), [LimitedSecrets((TEAM,), own_proof_only=True)])
    # A token that all senders share proves nothing either.
    assert standing_of(delivery(token=TOKEN), authorities) is None
    assert standing_of(delivery(token=TEAM), authorities) is None
    assert standing_of(delivery(("Authorization", b"Bearer " + TEAM)), authorities) is None
    standing = standing_of(delivery(signature(TEAM)), authorities)
    assert standing
    assert standing.proof_of(push("any.example.test/at/all")) == "own"


def oidc(error: RemoteError | None = None) -> Oidc:
    def find(_key_id: str) -> None:
        if error:
            raise error

    return Oidc(issuers=("i",), audiences=("a",), emails=("e",), find_key=find)


def test_googles_signature_is_limited_by_any_entry_of_its_sender() -> None:
    scheme = oidc()
    assert [item.accepts for item in authorities_of((scheme,), (), (), ())] == [(scheme,)]
    limited = authorities_of((scheme,), (TOKEN,), (), [LimitedSecrets((), own_proof_only=True)])
    assert [item.accepts for item in limited] == [(scheme,), ()]


def test_keys_that_are_away_matter_only_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    away = RemoteError("key server", None, "Unreachable", "away")

    def proves(*_: object) -> bool:
        raise away

    monkeypatch.setattr(Oidc, "proves", proves)
    authorities = [Authority(tokens=(TOKEN,), accepts=(oidc(),))]
    with pytest.raises(RemoteError):
        standing_of(delivery(token=b"another"), authorities)
    standing = standing_of(delivery(token=TOKEN), authorities)
    assert standing
    assert standing.proof_of(push()) == "token"


def test_the_signature_is_that_which_was_proven() -> None:
    authorities = authorities_of((FixedHeader("X-Sig"), HMAC, Bearer()), (TOKEN,), (KEY,), ())
    signed_one = standing_of(delivery(signature(KEY)), authorities)
    verbatim = standing_of(delivery(("X-Sig", KEY)), authorities)
    by_token = standing_of(delivery(token=TOKEN), authorities)
    assert signed_one
    assert signed_one.signature(delivery(signature(KEY))) == signature(KEY)[1]
    assert verbatim
    assert verbatim.signature(delivery(("X-Sig", KEY))) is None
    assert by_token
    assert by_token.signature(delivery(token=TOKEN)) is None
    assert UrlToken().label
