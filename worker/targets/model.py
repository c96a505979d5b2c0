"""The model of the targets file, from which its JSON Schema is made, and the rules that join several keys of it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from shared.local_hosts import is_local
from shared.message import Segment
from worker.targets.notify_model import AnyRecipient
from worker.targets.policy_model import AnyPolicy
from worker.targets.registry_keys import host_of
from worker.targets.sources import SourceText
from worker.targets.strict import Strict, mistake
from worker.targets.texts import (
    ContainerText,
    HostText,
    ImageText,
    RegistryKeyText,
    SecretPathText,
    Switch,
)


def _needs_default(value: object, info: ValidationInfo) -> object:
    """A missing subscription: an error unless the validation's context has a default."""
    # With `validate_default` at the fields, as pydantic would not validate a key that is missing.
    if value is None and not (info.context or {}).get("default_subscription"):
        raise mistake("missing; set it here or in AZURE_SUBSCRIPTION_ID")
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
            raise mistake("username and password must be given together")
        if self.identity and self.username is not None:
            raise mistake(
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
            # A connection is to a host, so two paths of one host can't be asked in two ways.
            host, slash, _ = key.partition("/")
            if slash and registry.scheme:
                raise mistake(
                    f"the scheme of {key} is that of the whole host: write it under {host}"
                )
            is_unencrypted = registry.scheme == "http" and not is_local(host_of(host))
            if registry.identity and is_unencrypted:
                raise mistake(
                    f"{key}: identity needs https, as a token would cross the network unencrypted"
                )
        return value

    @field_validator("discover")
    @classmethod
    def _says_where(cls, value: DiscoverModel | None) -> DiscoverModel:
        """Only written keys are validated: `discover:` without a value could mean everything or nothing."""
        if value is None:
            raise mistake(
                "empty: name resource_groups, or write {} for the whole subscription"
            )
        return value
