"""`aci-hooks test-webhook`: sends a sample of a sender, with its own proof, to an ingress."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import click

# Not shared.settings.SENDERS: importing the settings would slow down each completion in a shell. For the same reason
# the functions below import what they need.
SENDERS = tuple(
    "dockerhub acr ghcr quay harbor distribution gitlab artifactory nexus gcr ecr generic".split()  # noqa: SIM905
)
TIMEOUT = 15.0
_ACCEPTED = 202


class HasEnvironment(Protocol):
    """Gives the environment; worker.commands.opening has the real one."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment's variables."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the local settings say about an ingress."""

    tokens: tuple[str, ...]
    secrets: Mapping[str, tuple[str, ...]]
    port: int


@click.command(
    help="Send a sample webhook of SENDER to an ingress, with the sender's own proof if ACI_HOOKS_SECRET_<SENDER> is "
    "set, else with one of ACI_HOOKS_WEBHOOK_TOKENS. The push is real; by default it names an image that "
    "nobody runs. Exit 1 if it was not accepted.",
    short_help="Send a sample webhook to an ingress.",
    epilog="Example: aci-hooks test-webhook ghcr --url https://hooks.example.com --image ghcr.io/acme/shop:v2",
)
@click.argument("sender", type=click.Choice(SENDERS))
@click.option("--url", help="Where the ingress is.  [default: http://127.0.0.1:PORT]")
@click.option("--image", help="The pushed image.  [default: an image that nobody runs]")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON object: the status, the answer and the proof.",
)
@click.pass_context
def test_webhook(
    context: click.Context,
    *,
    sender: str,
    url: str | None,
    image: str | None,
    as_json: bool,
) -> None:
    """`aci-hooks test-webhook SENDER`."""
    import uuid

    from ingress.specimens import Pushed, example_image, specimen

    known = _known(context.obj)
    pushed = Pushed(
        _image(image or example_image(sender)), datetime.now(UTC), str(uuid.uuid4())
    )
    try:
        headers, body = specimen(sender, pushed)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--image") from error
    path, proof_headers, proof = _proof(sender, known, body)
    base = (url or f"http://127.0.0.1:{known.port}").rstrip("/")
    status, answer = _post(f"{base}{path}", {**headers, **proof_headers}, body)
    image_name = str(pushed.image)
    if as_json:
        told = {"status": status, "answer": answer, "proof": proof, "image": image_name}
        _print_json(told)
    else:
        _print(f"{sender} {image_name}, proven by {proof}: {status}", answer)
    # A 200 is a failure of this test: it says that the push was understood and ignored.
    sys.exit(0 if status == _ACCEPTED else 1)


def _print_json(told: dict[str, Any]) -> None:
    import json

    from shared.printable import printable_json

    click.echo(printable_json(json.dumps(told, ensure_ascii=False)))


def _print(said: str, answer: Any) -> None:
    import json

    from shared.printable import printable

    click.echo(printable(f"{said} {json.dumps(answer)}"))


def _known(opening: HasEnvironment) -> Known:
    from pydantic import BaseModel, ConfigDict, Field

    from shared.environment import SettingsError, read_settings
    from shared.setting_kinds import Port, SecretList, Tokens
    from shared.settings import variable

    # Not all of IngressSettings: whoever tests an ingress from elsewhere has no storage account to name.
    class Settings(BaseModel):
        model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

        webhook_tokens: Tokens = variable("ACI_HOOKS_WEBHOOK_TOKENS", ())
        sender_secrets: dict[str, SecretList] = Field(default_factory=dict)
        port: Port = variable("PORT", 8080)

    try:
        read = read_settings(Settings, opening.environment)
    except SettingsError as error:
        click.echo("aci-hooks: invalid configuration:", err=True)
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
        sys.exit(2)
    secrets = {
        name: tuple(map(_plain, values)) for name, values in read.sender_secrets.items()
    }
    return Known(tuple(map(_plain, read.webhook_tokens)), secrets, read.port)


def _plain(secret: Any) -> str:
    return str(secret.get_secret_value())


def _image(text: str) -> Any:
    from shared.image import ImageReference, InvalidImage

    try:
        image = ImageReference.parse(text)
    except InvalidImage as error:
        raise click.BadParameter(str(error), param_hint="--image") from error
    if image.tag is None:
        raise click.BadParameter(
            f"the tag is missing; expected for example {image.name}:v2",
            param_hint="--image",
        )
    return image


def _proof(sender: str, known: Known, body: bytes) -> tuple[str, dict[str, str], str]:
    """The path, the headers and the description of the best proof that the local settings allow."""
    from ingress.specimens import own_proof

    path = f"/webhooks/{sender}"
    # The first of several secrets, as the others are there for a rotation.
    for secret in known.secrets.get(sender, ())[:1]:
        if headers := own_proof(sender, secret, body):
            return path, headers, f"its own proof, {', '.join(headers)}"
    if not known.tokens:
        variables = f"ACI_HOOKS_WEBHOOK_TOKENS or ACI_HOOKS_SECRET_{sender.upper()}"
        raise click.UsageError(
            f"No secret to prove it with: set {variables} to the ingress's value."
        )
    return f"{path}/{known.tokens[0]}", {}, "the token in the URL"


def _post(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
    """Post it, and return the answer. A local ingress is called without the environment's proxy."""
    import httpx

    from shared.local_hosts import is_local

    try:
        local = is_local(httpx.URL(url).host)
        answer = httpx.post(
            url,
            content=body,
            headers=dict(headers),
            timeout=TIMEOUT,
            trust_env=not local,
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Its text may contain the URL, and the URL the token.
        raise click.ClickException(
            f"the ingress can't be reached: {type(error).__name__}"
        ) from None
    try:
        return answer.status_code, answer.json()
    except ValueError:
        return answer.status_code, answer.text[:500]
