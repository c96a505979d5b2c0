"""The settings of the ingress and of the worker: names, defaults, units and limits. Read with shared.environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from shared.cloud import CLOUDS, Cloud
from shared.connection_string import connection_problems
from shared.local_hosts import PLAIN_HTTP, is_local
from shared.registry_hosts import RegistryHosts
from shared.setting_kinds import (
    SHORTEST_TOKEN,
    AccountName,
    ApiVersion,
    AzureName,
    ConnectionString,
    ContainerName,
    Names,
    Port,
    QueueName,
    SecretList,
    Tokens,
    Url,
    split_commas,
)
from shared.tracing_settings import TracingSettings

SENDERS = (
    "dockerhub",
    "acr",
    "ghcr",
    "quay",
    "harbor",
    "distribution",
    "gitlab",
    "artifactory",
    "nexus",
    "gcr",
    "ecr",
    "generic",
)
"""Every sender that a webhook may name in its path."""


def _names_of_senders(value: object) -> object:
    return SENDERS if value == "all" else split_commas(value)


SenderNames = Annotated[
    tuple[Literal[SENDERS], ...],  # type: ignore[valid-type]
    BeforeValidator(_names_of_senders),
]

SENDERS_WITHOUT_SECRETS = frozenset({"dockerhub", "quay", "gcr"})
"""Senders that can't use ACI_HOOKS_SECRET_<SENDER>: Docker Hub and Quay send no secret but the token in the URL, and
Google signs with keys of its own."""


def variable(name: str, default: Any = ..., **constraints: Any) -> Any:
    """A setting that is read from the environment variable `name`."""
    return Field(default, alias=name, **constraints)


class Settings(TracingSettings):
    """What both programs need: the queue, the credential, the cloud and the logs' format."""

    # An invalid value may be a secret, so no error quotes one.
    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    tenant_id: str | None = variable("AZURE_TENANT_ID", None)
    client_id: str | None = variable("AZURE_CLIENT_ID", None)
    client_secret: SecretStr | None = variable("AZURE_CLIENT_SECRET", None)
    cloud_name: Literal["AzureCloud", "AzureUSGovernment", "AzureChinaCloud"] = (
        variable("AZURE_CLOUD", "AzureCloud")
    )
    connection_string: ConnectionString | None = variable(
        "AZURE_STORAGE_CONNECTION_STRING", None
    )
    storage_account: AccountName | None = variable("AZURE_STORAGE_ACCOUNT", None)
    queue: QueueName = variable("ACI_HOOKS_QUEUE", "aci-hooks-updates")
    log_format: Literal["json", "console"] | None = variable(
        "ACI_HOOKS_LOG_FORMAT", None
    )

    services: ClassVar[tuple[str, ...]] = ("Queue",)
    """What of the storage account the program uses."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if problems := list(self.problems()):
            raise ValueError("\n".join(problems))
        return self

    def problems(self) -> Iterator[str]:
        """Settings that contradict each other, a line each, beginning with the variable's name."""
        if self.connection_string:
            for problem in connection_problems(
                self.connection_string.get_secret_value(), self.services
            ):
                yield f"AZURE_STORAGE_CONNECTION_STRING: {problem}"
        elif not self.storage_account:
            yield (
                "AZURE_STORAGE_CONNECTION_STRING: not set; set it, or set AZURE_STORAGE_ACCOUNT to the account's "
                "name to use the Azure credential"
            )

    @property
    def cloud(self) -> Cloud:
        """The Azure cloud that everything is in."""
        return CLOUDS[self.cloud_name]

    def secret_values(self) -> list[str]:
        """Every secret among the settings, in plain text: what the logs must not show."""
        return [secret.get_secret_value() for secret in _secrets_in(self.__dict__)]


class IngressSettings(Settings):
    """What the ingress needs in addition. `max_body` is in bytes."""

    webhook_tokens: Tokens = variable("ACI_HOOKS_WEBHOOK_TOKENS", ())
    sender_secrets: dict[Literal[SENDERS], SecretList] = Field(default_factory=dict)  # type: ignore[valid-type]
    senders: SenderNames = variable("ACI_HOOKS_SENDERS", SENDERS)
    receivers_file: str | None = variable("ACI_HOOKS_RECEIVERS", None)
    gcr_audience: Names = variable("ACI_HOOKS_GCR_AUDIENCE", ())
    gcr_email: Names = variable("ACI_HOOKS_GCR_EMAIL", ())
    gcr_jwks_url: Url = variable(
        "ACI_HOOKS_GCR_JWKS_URL", "https://www.googleapis.com/oauth2/v3/certs"
    )
    gcr_issuer: Names = variable(
        "ACI_HOOKS_GCR_ISSUER", ("https://accounts.google.com", "accounts.google.com")
    )
    nexus_registry: RegistryHosts = variable("ACI_HOOKS_NEXUS_REGISTRY", ())
    artifactory_registry: RegistryHosts = variable("ACI_HOOKS_ARTIFACTORY_REGISTRY", ())
    port: Port = variable("PORT", 8080)
    max_body: int = variable("ACI_HOOKS_MAX_BODY", 1048576, gt=0)

    def problems(self) -> Iterator[str]:
        """Settings that contradict each other, or that are missing."""
        yield from super().problems()
        useful_secrets = (
            self.sender_secrets.keys() & set(self.senders) - SENDERS_WITHOUT_SECRETS
        )
        trusts_google = bool(self.gcr_audience) and "gcr" in self.senders
        lets_somebody_in = bool(
            self.webhook_tokens
            or trusts_google
            or useful_secrets
            or self.receivers_file
        )
        if not lets_somebody_in:
            yield (
                "ACI_HOOKS_WEBHOOK_TOKENS: not set, so every webhook would be refused; set it to one or more secrets "
                f"of at least {SHORTEST_TOKEN} characters, or set ACI_HOOKS_SECRET_<SENDER> of a sender that uses one "
                f"(not {', '.join(sorted(SENDERS_WITHOUT_SECRETS))})"
            )
        for sender, secrets in self.sender_secrets.items():
            if not secrets:
                yield f"ACI_HOOKS_SECRET_{str(sender).upper()}: contains no secret, only commas"
        if not self.senders:
            yield "ACI_HOOKS_SENDERS: names no sender, only commas"
        # The audience alone would let in every service account of Google's that asks for a token for it.
        has_half_of_gcr = bool(self.gcr_audience) != bool(self.gcr_email)
        if has_half_of_gcr:
            yield "ACI_HOOKS_GCR_AUDIENCE: set it together with ACI_HOOKS_GCR_EMAIL, or set neither"
        url = urlsplit(self.gcr_jwks_url)
        is_private = url.scheme == "https" or (
            url.scheme == "http" and is_local(url.hostname or "")
        )
        if not is_private:
            yield f"ACI_HOOKS_GCR_JWKS_URL: must be an https URL; {PLAIN_HTTP}"


class WorkerSettings(Settings):
    """What the worker needs in addition. Times are in seconds."""

    services: ClassVar[tuple[str, ...]] = ("Queue", "Blob")

    subscription: AzureName | None = variable("AZURE_SUBSCRIPTION_ID", None)
    resource_group: AzureName | None = variable("RESOURCE_GROUP_NAME", None)
    container_group: AzureName | None = variable("CONTAINER_GROUP_NAME", None)
    targets_file: str | None = variable("ACI_HOOKS_TARGETS", None)
    records: ContainerName = variable("ACI_HOOKS_RECORDS", "aci-hooks")
    arm_endpoint_override: str | None = variable("ACI_HOOKS_ARM_ENDPOINT", None)
    arm_api_version: ApiVersion = variable("ACI_HOOKS_ARM_API_VERSION", "2025-09-01")
    # The default suits a container, whose network is its own.
    worker_host: str = variable("ACI_HOOKS_WORKER_HOST", "0.0.0.0")  # noqa: S104
    worker_port: Port = variable("ACI_HOOKS_WORKER_PORT", 8081)
    concurrency: int = variable("ACI_HOOKS_CONCURRENCY", 8, ge=1, le=256)
    visibility_timeout: int = variable(
        "ACI_HOOKS_VISIBILITY_TIMEOUT", 30, ge=2, le=604800
    )
    poll_min: float = variable("ACI_HOOKS_POLL_MIN", 0.1, gt=0)
    poll_max: float = variable("ACI_HOOKS_POLL_MAX", 5.0, gt=0)
    max_attempts: int = variable("ACI_HOOKS_MAX_ATTEMPTS", 8, ge=1)
    outage_patience: float = variable(
        "ACI_HOOKS_OUTAGE_PATIENCE", 21600.0, gt=0, le=604800
    )
    retry_base: float = variable("ACI_HOOKS_RETRY_BASE", 5.0, gt=0)
    retry_max: float = variable("ACI_HOOKS_RETRY_MAX", 600.0, gt=0, le=604800)
    check_interval: float = variable("ACI_HOOKS_CHECK_INTERVAL", 5.0, gt=0)
    soak: float = variable("ACI_HOOKS_SOAK", 30.0, ge=0)
    rollout_timeout: float = variable("ACI_HOOKS_ROLLOUT_TIMEOUT", 900.0, gt=0)
    rollback: bool = variable("ACI_HOOKS_ROLLBACK", True)
    crash_log_lines: int = variable("ACI_HOOKS_CRASH_LOG_LINES", 50, ge=0, le=1000)
    dashboard_tokens: SecretList = variable("ACI_HOOKS_DASHBOARD_TOKENS", ())
    sweep_interval: float = variable("ACI_HOOKS_SWEEP_INTERVAL", 0.0, ge=0)

    def problems(self) -> Iterator[str]:
        """Settings that contradict each other, or that are missing."""
        yield from super().problems()
        yield from self._target_problems()
        yield from self._endpoint_problems()
        if self.poll_min > self.poll_max:
            yield "ACI_HOOKS_POLL_MIN: must not be more than ACI_HOOKS_POLL_MAX"
        if self.retry_base > self.retry_max:
            yield "ACI_HOOKS_RETRY_BASE: must not be more than ACI_HOOKS_RETRY_MAX"
        if "dashboard_tokens" in self.model_fields_set and not self.dashboard_tokens:
            yield "ACI_HOOKS_DASHBOARD_TOKENS: contains no secret, only commas"

    def _target_problems(self) -> Iterator[str]:
        if self.targets_file:
            return
        target = {
            "AZURE_SUBSCRIPTION_ID": self.subscription,
            "RESOURCE_GROUP_NAME": self.resource_group,
            "CONTAINER_GROUP_NAME": self.container_group,
        }
        for name, value in target.items():
            if not value:
                yield f"{name}: not set; required unless ACI_HOOKS_TARGETS names a targets file"

    def _endpoint_problems(self) -> Iterator[str]:
        url = urlsplit(self.arm_endpoint)
        if url.scheme not in {"http", "https"} or not url.hostname:
            yield "ACI_HOOKS_ARM_ENDPOINT: must be an http or https URL"
        elif url.scheme == "http" and not is_local(url.hostname):
            yield f"ACI_HOOKS_ARM_ENDPOINT: {PLAIN_HTTP}: a token would cross the network unencrypted"

    @property
    def arm_endpoint(self) -> str:
        """The Resource Manager's URL, without a slash at its end."""
        return (self.arm_endpoint_override or self.cloud.resource_manager).rstrip("/")


def variables(model: type[BaseModel]) -> list[str]:
    """The names of the environment variables that `model` reads."""
    return [field.alias for field in model.model_fields.values() if field.alias]


def _secrets_in(value: object) -> Iterator[SecretStr]:
    if isinstance(value, SecretStr):
        yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _secrets_in(member)
    elif isinstance(value, tuple):
        for element in value:
            yield from _secrets_in(element)
