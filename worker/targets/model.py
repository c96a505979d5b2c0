"""The model of the targets file, from which its JSON Schema is made. Every text in it is checked on its own."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic import Strict as Strictly

from shared.image import ImageReference, InvalidImage, check_registry
from shared.message import Segment
from shared.settings import is_local
from worker.groups import secret_paths
from worker.targets.notify_model import AnyRecipient
from worker.targets.policy_model import AnyPolicy
from worker.targets.registry_keys import (
    check_registry_key,
    host_of,
    nearest_host,
    nearest_key,
)
from worker.targets.sources import SourceText
from worker.targets.strict import Strict
from worker.targets.strict import mistake as _mistake


def _check_image(text: str) -> str:
    try:
        image = ImageReference.parse(text)
    except InvalidImage as error:
        in_lower_case = text.lower()  # which is most often all that it takes
        raise _mistake(
            str(error), in_lower_case if _is_image(in_lower_case) else None
        ) from None
    if image.tag or image.digest:
        raise _mistake(
            "name the repository alone: the policy chooses the tag", image.name
        )
    return text


def _is_image(text: str) -> bool:
    try:
        ImageReference.parse(text)
    except InvalidImage:
        return False
    return True


def _check_registry_key(text: str) -> str:
    try:
        return check_registry_key(text)
    except InvalidImage as error:
        raise _mistake(str(error), nearest_key(text)) from None


def _check_host(text: str) -> str:
    try:
        return check_registry(text)
    except InvalidImage as error:
        raise _mistake(str(error), nearest_host(text)) from None


def _check_container(text: str) -> str:
    if not re.fullmatch(secret_paths.CONTAINER, text) or len(text) > 63:
        nearest = text.lower().replace("_", "-")
        what = f"{text[:80]!r} can't be a container: lower-case letters, digits and -, at most 63"
        raise _mistake(
            what, nearest if re.fullmatch(secret_paths.CONTAINER, nearest) else None
        )
    return text


def _check_secret_path(text: str) -> str:
    if not re.fullmatch(secret_paths.PATTERN, text):
        raise _mistake(
            f"not the path of a secret: {secret_paths.FORMS}",
            secret_paths.nearest_path(text),
        )
    return text


def _schema(**keywords: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **keywords})


ImageText = Annotated[
    str,
    AfterValidator(_check_image),
    _schema(examples=["acme/shop-worker", "ghcr.io/acme/shop"]),
]
# Scalars of the file are read as texts. Data that a YAML library has loaded already contains booleans.
Switch = Annotated[
    bool,
    BeforeValidator(lambda text: {"true": True, "false": False}.get(str(text), text)),
    Strictly(),
    WithJsonSchema({"enum": [True, False, "true", "false"]}),
]
RegistryKeyText = Annotated[
    str, AfterValidator(_check_registry_key), _schema(pattern=r"^[^/\s]+(/[^/\s]+)*$")
]
HostText = Annotated[str, AfterValidator(_check_host), _schema(pattern=r"^[^/\s]+$")]
ContainerText = Annotated[
    str,
    AfterValidator(_check_container),
    _schema(pattern=f"^{secret_paths.CONTAINER}$"),
]
SecretPathText = Annotated[
    str, AfterValidator(_check_secret_path), _schema(pattern=secret_paths.PATTERN)
]


def _needs_default(value: object, info: ValidationInfo) -> object:
    """A missing subscription: an error unless the validation's context has a default."""
    if value is None and not (info.context or {}).get("default_subscription"):
        raise _mistake("missing; set it here or in AZURE_SUBSCRIPTION_ID")
    return value


class RuleModel(Strict):
    """How one container is kept up to date."""

    policy: AnyPolicy = Field(
        description="Which pushed tags may replace the running one."
    )
    image: ImageText | None = Field(
        None,
        description="The repository to follow, without a tag. Left out: the one that the container runs.",
    )


class TargetModel(Strict):
    """One container group to keep up to date."""

    container_group: Segment = Field(description="The container group's name.")
    resource_group: Segment = Field(description="Its resource group.")
    subscription: Segment | None = Field(
        None,
        validate_default=True,
        description="Its subscription's id. Left out: AZURE_SUBSCRIPTION_ID.",
    )
    containers: dict[ContainerText, RuleModel] = Field(
        min_length=1,
        description="The containers to keep up to date, by name. A container that is not listed is left alone.",
        json_schema_extra={"additionalProperties": False},
    )
    secrets: dict[SecretPathText, SourceText] = Field(
        {},
        description="Where to find the secrets that ARM never returns and every update must contain.",
        json_schema_extra={"additionalProperties": False},
    )

    _subscription = field_validator("subscription")(_needs_default)


class DiscoverModel(Strict):
    """Where to look for container groups that have the resource tag aci-hooks.policy."""

    subscriptions: Annotated[list[Segment], Field(min_length=1)] | None = Field(
        None,
        validate_default=True,
        description="Their ids. Left out: AZURE_SUBSCRIPTION_ID alone.",
    )
    resource_groups: Annotated[list[Segment], Field(min_length=1)] | None = Field(
        None,
        description="The resource groups to look into. Left out: all of each subscription.",
    )

    _subscriptions = field_validator("subscriptions")(_needs_default)


class RegistryModel(Strict):
    """How the worker asks a registry what a tag points at, and whose digest it believes if the registry can't tell."""

    username: SourceText | None = Field(
        None, description="The source of the user's name."
    )
    password: SourceText | None = Field(
        None, description="The source of the password or token."
    )
    identity: Switch | None = Field(
        None,
        description="Ask with the worker's own Entra identity (AcrPull). Left out: true for *.azurecr.io, .us, .cn.",
    )
    believe: Literal["signed", "always", "never"] | None = Field(
        None,
        description="Whose digest is believed where the registry can't tell: that of senders that prove themselves "
        "(signed, the default), everybody's, or nobody's.",
    )
    scheme: Literal["https", "http"] | None = Field(
        None,
        description="Left out: http for loopback and hosts of one label, https for all others.",
    )
    realms: list[HostText] = Field(
        [],
        description="More hosts of token servers that may receive the credentials, besides the registry's domain.",
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise _mistake("username and password must be given together")
        if self.identity and self.username is not None:
            raise _mistake(
                "identity replaces username and password: give one or the other"
            )
        return self


class TargetsModel(Strict):
    """The container groups that aci-hooks keeps up to date."""

    targets: list[TargetModel] = Field(
        [], description="The container groups, each with its rules."
    )
    discover: DiscoverModel | None = Field(
        None,
        description="Also every container group that has the resource tag aci-hooks.policy.",
    )
    registries: dict[RegistryKeyText, RegistryModel] = Field(
        {},
        description="How registries are asked, by host, or by host/path for the repositories below it.",
        json_schema_extra={"additionalProperties": False},
    )
    notify: list[AnyRecipient] = Field(
        [],
        description="Who is notified of outcomes: the source of a URL, or a mapping with the outcomes and groups.",
    )

    @field_validator("registries")
    @classmethod
    def _schemes_fit(cls, value: dict[str, RegistryModel]) -> dict[str, RegistryModel]:
        for key, registry in value.items():
            host, slash, _ = key.partition("/")
            if slash and registry.scheme:
                raise _mistake(
                    f"the scheme of {key} is that of the whole host: write it under {host}"
                )
            if (
                registry.identity
                and registry.scheme == "http"
                and not is_local(host_of(host))
            ):
                raise _mistake(
                    f"{key}: identity needs https, as a token would cross the network unencrypted"
                )
        return value

    @field_validator("discover")
    @classmethod
    def _says_where(cls, value: DiscoverModel | None) -> DiscoverModel:
        """Only written keys are validated: `discover:` without a value could mean everything or nothing."""
        if value is None:
            raise _mistake(
                "empty: name resource_groups, or write {} for the whole subscription"
            )
        return value
