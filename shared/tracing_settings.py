"""The settings of traces: where spans go. Their names are those of OpenTelemetry and Azure Monitor.

opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables. What else there is (the sampler, timeouts,
certificates, the size of batches), the SDK reads from the environment by itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, Field, SecretStr

_SIGNAL = "v1/traces"
_SHORTEST_KEY = 16
"""Characters."""


class TracingSettings(BaseModel):
    """Where spans go. No value of these is refused: whatever is wrong with traces stops no rollout."""

    otlp_endpoint: str | None = Field(None, alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    otlp_traces_endpoint: str | None = Field(
        None, alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    )
    otlp_protocol: str | None = Field(None, alias="OTEL_EXPORTER_OTLP_PROTOCOL")
    otlp_traces_protocol: str | None = Field(
        None, alias="OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
    )
    otlp_headers: SecretStr | None = Field(None, alias="OTEL_EXPORTER_OTLP_HEADERS")
    otlp_traces_headers: SecretStr | None = Field(
        None, alias="OTEL_EXPORTER_OTLP_TRACES_HEADERS"
    )
    application_insights: SecretStr | None = Field(
        None, alias="APPLICATIONINSIGHTS_CONNECTION_STRING"
    )
    traces_exporter: str | None = Field(None, alias="OTEL_TRACES_EXPORTER")
    sdk_disabled: str | None = Field(None, alias="OTEL_SDK_DISABLED")
    service_name: str | None = Field(None, alias="OTEL_SERVICE_NAME")

    @property
    def is_traced(self) -> bool:
        """Is there anywhere that spans are to go to?"""
        is_off = _is(self.sdk_disabled, "true") or _is(self.traces_exporter, "none")
        return not is_off and bool(self.otlp_url or self.application_insights)

    @property
    def speaks_grpc(self) -> bool:
        """Is OTLP to be spoken over gRPC instead of HTTP?"""
        return _is(self.otlp_traces_protocol or self.otlp_protocol, "grpc")

    @property
    def otlp_url(self) -> str | None:
        """The URL that spans are sent to by OTLP, if any: the one for traces as it is, the common one with its path."""
        if self.otlp_traces_endpoint:
            return self.otlp_traces_endpoint
        # The path of a signal belongs to HTTP alone: opentelemetry.io/docs/specs/otel/protocol/exporter.
        if self.speaks_grpc or not self.otlp_endpoint:
            return self.otlp_endpoint
        return f"{self.otlp_endpoint.rstrip('/')}/{_SIGNAL}"

    @property
    def otlp_header_text(self) -> str:
        """The headers to send, `name=value` with commas between them; those for traces win."""
        headers = self.otlp_traces_headers or self.otlp_headers
        return headers.get_secret_value() if headers else ""


def secrets_in(headers: Mapping[str, str]) -> set[str]:
    """What the logs must not show of headers: every value, and what stands behind a scheme such as Bearer, too.

    What is too short for a key is left out: it is a name, such as that of a data set, and may be that of much else.
    """
    values: set[str] = set()
    for value in headers.values():
        _scheme, _, behind_it = value.partition(" ")
        values |= {value, behind_it}
    return {value for value in values if len(value) >= _SHORTEST_KEY}


def _is(value: str | None, word: str) -> bool:
    return (value or "").strip().lower() == word
