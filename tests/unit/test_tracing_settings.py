"""Where spans go, by the variables that every program with OpenTelemetry knows."""

from __future__ import annotations

import pytest

from shared.environment import misspelt, read_settings
from shared.settings import Settings, variables
from shared.tracing_settings import secrets_in

STORAGE = {"AZURE_STORAGE_ACCOUNT": "acme7"}
BASE, TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
MONITOR = {"APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=1"}
GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}


def read(**variables: str) -> Settings:
    return read_settings(Settings, STORAGE | variables)


@pytest.mark.parametrize(
    ("given", "traced"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        ({BASE: "http://there:4318"}, True),
        ({TRACES: "http://there:4318/t"}, True),
        (MONITOR, True),
        ({**MONITOR, "OTEL_SDK_DISABLED": "True"}, False),
        ({**MONITOR, "OTEL_SDK_DISABLED": "yes"}, True),  # only `true` counts, by the specification
        ({**MONITOR, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**MONITOR, "OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_whether_anything_is_traced(given: dict[str, str], traced: bool) -> None:
    assert read(**given).is_traced is traced


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, None),
        (MONITOR, None),
        ({BASE: "http://there:4318"}, "http://there:4318/v1/traces"),
        ({BASE: "http://there:4318/otlp/"}, "http://there:4318/otlp/v1/traces"),
        ({BASE: "http://there:4318", TRACES: "http://other/t"}, "http://other/t"),
        ({BASE: "http://there:4317", **GRPC}, "http://there:4317"),
        (
            {BASE: "http://there:4318", **GRPC, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"},
            "http://there:4318/v1/traces",
        ),
    ],
)
def test_the_url_of_spans(given: dict[str, str], url: str | None) -> None:
    assert read(**given).otlp_url == url


def test_the_headers_for_traces_win_and_all_are_secret() -> None:
    common, own = {"OTEL_EXPORTER_OTLP_HEADERS": "a=1"}, {"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "b=2"}
    assert [read(**given).otlp_header_text for given in ({}, common, common | own)] == ["", "a=1", "b=2"]
    assert read(**common, **own, **MONITOR).secret_values() == ["a=1", "b=2", "InstrumentationKey=1"]


def test_what_is_secret_of_headers() -> None:
    key = "0123456789abcdef"
    headers = {"authorization": f"Bearer {key}", "x-api-key": f"{key}0", "x-dataset": "production"}
    assert secrets_in(headers) == {f"Bearer {key}", key, f"{key}0"}


def test_a_misspelt_one_is_told() -> None:
    assert misspelt(["OTEL_EXPORTER_OTLP_ENDPOIN"], variables(Settings)) == [
        f"OTEL_EXPORTER_OTLP_ENDPOIN is not a setting; did you mean {BASE}?"
    ]
    assert misspelt(["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_TRACES_SAMPLER"], variables(Settings)) == []
