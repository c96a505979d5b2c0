"""The settings: defaults, limits, and what must fit together."""

from __future__ import annotations

import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient

from shared.environment import SettingsError, read_settings
from shared.local_hosts import is_local
from shared.settings import (
    SENDERS,
    SENDERS_WITHOUT_SECRETS,
    IngressSettings,
    Settings,
    WorkerSettings,
    variables,
)

STORAGE = {"AZURE_STORAGE_CONNECTION_STRING": "UseDevelopmentStorage=true"}
TARGET = {"AZURE_SUBSCRIPTION_ID": "sub", "RESOURCE_GROUP_NAME": "web", "CONTAINER_GROUP_NAME": "shop"}
WORKER = STORAGE | TARGET
TOKEN = "a-token-of-16-ch"
ONE, TWO = "one-of-16-letters", "two-of-16-letters"
INGRESS = STORAGE | {"ACI_HOOKS_WEBHOOK_TOKENS": TOKEN}


def problems(model: type[Settings], environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_settings(model, environment)
    return caught.value.problems


def test_the_original_programs_variables_are_enough_for_a_worker() -> None:
    settings = read_settings(WorkerSettings, WORKER)
    assert (settings.subscription, settings.resource_group, settings.container_group) == ("sub", "web", "shop")
    assert (settings.queue, settings.records, settings.arm_api_version) == (
        "aci-hooks-updates",
        "aci-hooks",
        "2025-09-01",
    )
    assert (settings.visibility_timeout, settings.soak, settings.rollout_timeout) == (30, 30, 900)
    assert (settings.max_attempts, settings.retry_base, settings.retry_max) == (8, 5, 600)
    assert (settings.poll_min, settings.poll_max, settings.check_interval) == (0.1, 5, 5)
    assert (settings.concurrency, settings.worker_port, settings.rollback, settings.sweep_interval) == (
        8,
        8081,
        True,
        0,
    )
    assert settings.arm_endpoint == "https://management.azure.com"


def test_a_targets_file_takes_the_place_of_one_target() -> None:
    assert read_settings(WorkerSettings, STORAGE | {"ACI_HOOKS_TARGETS": "targets.yaml"}).targets_file == "targets.yaml"


def test_an_account_takes_the_place_of_a_connection_string() -> None:
    assert read_settings(Settings, {"AZURE_STORAGE_ACCOUNT": "acme7"}).storage_account == "acme7"


def test_every_problem_is_told_at_once() -> None:
    wrong = {
        "ACI_HOOKS_QUEUE": "No",
        "ACI_HOOKS_CONCURRENCY": "0",
        "ACI_HOOKS_POLL_MIN": "9",
        "ACI_HOOKS_RETRY_BASE": "700",
        "AZURE_CLOUD": "Cloud9",
        "ACI_HOOKS_ARM_ENDPOINT": "ftp://arm",
    }
    named = {problem.partition(":")[0] for problem in problems(WorkerSettings, wrong)}
    assert named == wrong.keys() | TARGET.keys() | STORAGE.keys()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACI_HOOKS_QUEUE", "ab"),
        ("ACI_HOOKS_QUEUE", "x" * 57),
        ("ACI_HOOKS_QUEUE", "two--dashes"),
        ("ACI_HOOKS_RECORDS", "-x-"),
        ("ACI_HOOKS_ARM_API_VERSION", "2025-9-1"),
        ("ACI_HOOKS_WORKER_PORT", "65536"),
        ("ACI_HOOKS_CONCURRENCY", "257"),
        ("ACI_HOOKS_VISIBILITY_TIMEOUT", "1"),
        ("ACI_HOOKS_POLL_MIN", "0"),
        ("ACI_HOOKS_MAX_ATTEMPTS", "0"),
        ("ACI_HOOKS_RETRY_MAX", "604801"),
        ("ACI_HOOKS_CHECK_INTERVAL", "0"),
        ("ACI_HOOKS_SOAK", "-1"),
        ("ACI_HOOKS_ROLLOUT_TIMEOUT", "0"),
        ("ACI_HOOKS_ROLLBACK", "perhaps"),
        ("ACI_HOOKS_CRASH_LOG_LINES", "-1"),
        ("ACI_HOOKS_CRASH_LOG_LINES", "1001"),
        ("ACI_HOOKS_SWEEP_INTERVAL", "-1"),
        ("ACI_HOOKS_LOG_FORMAT", "xml"),
        ("ACI_HOOKS_SOAK", "inf"),
        ("ACI_HOOKS_ROLLOUT_TIMEOUT", "nan"),
        ("AZURE_STORAGE_ACCOUNT", "Acme"),
    ],
)
def test_a_value_out_of_bounds_is_told_by_its_name_alone(name: str, value: str) -> None:
    (problem,) = problems(WorkerSettings, WORKER | {name: value})
    assert problem.startswith(f"{name}: ")


NAMES = ("AZURE_SUBSCRIPTION_ID", "RESOURCE_GROUP_NAME", "CONTAINER_GROUP_NAME")
NO_NAME = "must be a name as Azure gives it, 1 to 128 letters, digits and - _ . ( ) without a dot at its end"


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("ACI_HOOKS_CONCURRENCY", "many", "must be a whole number"),
        ("ACI_HOOKS_CONCURRENCY", "1.5", "must be a whole number"),
        ("ACI_HOOKS_CONCURRENCY", "0", "must be at least 1"),
        ("ACI_HOOKS_SOAK", "1m", "must be a number"),
        ("ACI_HOOKS_SOAK", "inf", "must be a finite number"),
        ("ACI_HOOKS_CHECK_INTERVAL", "0", "must be more than 0"),
        ("ACI_HOOKS_RETRY_MAX", "604801", "must be at most 604800"),
        ("ACI_HOOKS_ROLLBACK", "perhaps", "must be true or false"),
        ("ACI_HOOKS_QUEUE", "ab", "must have at least 3 characters"),
        ("ACI_HOOKS_QUEUE", "x" * 57, "must have at most 56 characters"),
        ("ACI_HOOKS_LOG_FORMAT", "JSOM", "must be one of json, console; did you mean json?"),
        *((name, value, NO_NAME) for name in NAMES for value in ("web:prod", "web.", "we b", "we/b", "x" * 129)),
        ("AZURE_CLOUD", "x", "must be one of AzureCloud, AzureUSGovernment, AzureChinaCloud"),
    ],
)
def test_what_is_wrong_with_a_value_is_said_in_plain_words(name: str, value: str, wrong: str) -> None:
    assert problems(WorkerSettings, WORKER | {name: value}) == [f"{name}: {wrong}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACI_HOOKS_QUEUE", "x" * 56),
        ("ACI_HOOKS_SOAK", "0"),
        ("ACI_HOOKS_WORKER_PORT", "0"),
        ("ACI_HOOKS_POLL_MIN", "5"),
        ("ACI_HOOKS_RETRY_BASE", "600"),
        ("ACI_HOOKS_ARM_API_VERSION", "2024-05-01-preview"),
        ("RESOURCE_GROUP_NAME", "x" * 128),
        ("RESOURCE_GROUP_NAME", "Ströme_(prod).eu-1"),
        ("RESOURCE_GROUP_NAME", "हिन्दी"),
    ],
)
def test_a_value_on_the_bound_is_good(name: str, value: str) -> None:
    read_settings(WorkerSettings, WORKER | {name: value})


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://management.example", None),
        ("http://127.0.0.1:8484/", None),
        ("http://[::1]:8484", None),
        ("http://localhost:8484", None),
        ("http://arm-simulator:8484", None),
        ("http://management.example", "plain http is allowed only for loopback and single-label hosts"),
        ("http://10.0.0.1", "plain http is allowed only for loopback and single-label hosts"),
        ("management.example", "must be an http or https URL"),
        ("https://", "must be an http or https URL"),
    ],
)
def test_a_token_never_crosses_a_network_in_the_clear(url: str, problem: str | None) -> None:
    environment = WORKER | {"ACI_HOOKS_ARM_ENDPOINT": url}
    if problem is None:
        assert read_settings(WorkerSettings, environment).arm_endpoint == url.rstrip("/")
    else:
        (told,) = problems(WorkerSettings, environment)
        assert told.startswith(f"ACI_HOOKS_ARM_ENDPOINT: {problem}")


KEY = "AccountKey=bm8ga2V5IGF0IGFsbA=="
CLEAR = "must be an https URL; plain http is allowed only for loopback and single-label hosts"


@pytest.mark.parametrize(
    "text",
    [
        f"DefaultEndpointsProtocol=https;AccountName=acme7;{KEY};EndpointSuffix=core.windows.net",
        f"AccountName=acme7;{KEY}",
        f"accountname=acme7;{KEY.upper().replace('BM8', 'bm8')};;",
        f"\n AccountName=acme7 ;\r\n {KEY} ;\n",
        f"AccountName=acme7;{KEY};BlobEndpoint=http://127.0.0.1:1/acme7;QueueEndpoint=http://127.0.0.1:2/acme7",
        "BlobEndpoint=https://a.example/;QueueEndpoint=https://a.example/;SharedAccessSignature=sv=1&sig=a%3D",
        f"DefaultEndpointsProtocol=http;AccountName=a;{KEY};BlobEndpoint=http://azurite:1/a;QueueEndpoint=http://[::1]:2/a",
        f"DefaultEndpointsProtocol=http;AccountName=acme7;{KEY}",
        f"DefaultEndpointsProtocol=http;AccountName=a;{KEY};EndpointSuffix=x;BlobEndpoint=http://azurite:1/a;"
        "QueueEndpoint=http://azurite:2/a",
        "UseDevelopmentStorage=true",
    ],
)
def test_a_connection_string_that_clients_can_be_made_of(text: str) -> None:
    settings = read_settings(WorkerSettings, TARGET | {"AZURE_STORAGE_CONNECTION_STRING": text})
    assert settings.connection_string
    tidy = settings.connection_string.get_secret_value()
    QueueClient.from_connection_string(tidy, "queue")
    BlobServiceClient.from_connection_string(tidy)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("not-shown", "must be Name=value pairs separated by semicolons"),
        (f"AccountName=not-shown;{KEY};=x", "must be Name=value pairs separated by semicolons"),
        ("https://not-shown.queue.core.windows.net", "must be Name=value pairs separated by semicolons"),
        ("UseDevelopmentStorage=not-shown", "contains neither AccountName nor QueueEndpoint"),
        (KEY, "contains neither AccountName nor QueueEndpoint"),
        (f"AccountName=;{KEY}", "contains neither AccountName nor QueueEndpoint"),
        ("AccountName=not-shown", "contains neither AccountName and AccountKey nor SharedAccessSignature"),
        (
            f"QueueEndpoint=https://a.example;{KEY}",
            "contains neither AccountName and AccountKey nor SharedAccessSignature",
        ),
        ("AccountName=acme7;AccountKey=not-shown", "its AccountKey is not base64: perhaps a part of it is missing"),
        ("AccountName=acme7;AccountKey=größe", "its AccountKey is not base64: perhaps a part of it is missing"),
        (f"AccountName=acme7;{KEY};QueueEndpoint=not-shown:1/acme7", "its QueueEndpoint is not an http or https URL"),
        (f"AccountName=acme7;{KEY};QueueEndpoint=http://[not-shown", "its QueueEndpoint is not an http or https URL"),
        (f"AccountName=acme7;{KEY};QueueEndpoint=ftp://not-shown/", "its QueueEndpoint is not an http or https URL"),
        (f"AccountName=acme7;{KEY};QueueEndpoint=https://", "its QueueEndpoint is not an http or https URL"),
        (f"AccountName=acme7;{KEY};QueueEndpoint=http://not-shown.example/", f"its QueueEndpoint {CLEAR}"),
        (f"AccountName=acme7;{KEY};QueueEndpoint=HTTP://10.0.0.4:10001/not-shown", f"its QueueEndpoint {CLEAR}"),
        (f"AccountName=acme7;{KEY};QueueEndpoint=http://2130706433/not-shown", f"its QueueEndpoint {CLEAR}"),
        (
            "QueueEndpoint=http://not-shown.example;SharedAccessSignature=sv=1&sig=a%3D",
            f"its QueueEndpoint {CLEAR}",
        ),
        (
            f"DefaultEndpointsProtocol=http;AccountName=not-shown;{KEY};EndpointSuffix=core.windows.net",
            CLEAR.replace("must be an https URL", "its DefaultEndpointsProtocol must be https"),
        ),
    ],
)
def test_a_broken_connection_string_is_told_and_not_shown(text: str, wrong: str) -> None:
    told = problems(Settings, {"AZURE_STORAGE_CONNECTION_STRING": text})
    assert told[0] == f"AZURE_STORAGE_CONNECTION_STRING: {wrong}"
    assert "not-shown" not in "".join(told)


def test_the_worker_has_blobs_too() -> None:
    text = "QueueEndpoint=https://a.example/;SharedAccessSignature=sv=1&sig=a"
    read_settings(Settings, {"AZURE_STORAGE_CONNECTION_STRING": text})
    assert problems(WorkerSettings, TARGET | {"AZURE_STORAGE_CONNECTION_STRING": text}) == [
        "AZURE_STORAGE_CONNECTION_STRING: contains neither AccountName nor BlobEndpoint"
    ]


def test_a_connection_string_of_spaces_counts_as_unset() -> None:
    (problem,) = problems(Settings, {"AZURE_STORAGE_CONNECTION_STRING": " ;\n"})
    assert problem.startswith("AZURE_STORAGE_CONNECTION_STRING: not set")


@pytest.mark.parametrize("cloud", ["AzureCloud", "AzureUSGovernment", "AzureChinaCloud"])
def test_each_cloud_has_its_own_resource_manager(cloud: str) -> None:
    settings = read_settings(WorkerSettings, WORKER | {"AZURE_CLOUD": cloud})
    assert settings.arm_endpoint == settings.cloud.resource_manager
    assert settings.cloud.resource_manager_scope == f"{settings.arm_endpoint}/.default"


class TestIngress:
    def test_the_ingress_has_documented_defaults(self) -> None:
        settings = read_settings(IngressSettings, INGRESS)
        assert (settings.port, settings.max_body) == (8080, 1048576)
        assert [webhook_token.get_secret_value() for webhook_token in settings.webhook_tokens] == [TOKEN]

    def test_several_tokens_allow_rotation(self) -> None:
        settings = read_settings(IngressSettings, INGRESS | {"ACI_HOOKS_WEBHOOK_TOKENS": f"{TOKEN}1, {TOKEN}2,"})
        assert [webhook_token.get_secret_value() for webhook_token in settings.webhook_tokens] == [
            f"{TOKEN}1",
            f"{TOKEN}2",
        ]

    def test_settings_that_are_built_in_code_take_lists(self) -> None:
        settings = IngressSettings(AZURE_STORAGE_ACCOUNT="acme7", ACI_HOOKS_WEBHOOK_TOKENS=[TOKEN, f"{TOKEN},2"])
        assert [token.get_secret_value() for token in settings.webhook_tokens] == [TOKEN, f"{TOKEN},2"]

    def test_a_short_token_is_told_by_its_place_and_not_shown(self) -> None:
        (problem,) = problems(IngressSettings, INGRESS | {"ACI_HOOKS_WEBHOOK_TOKENS": f"{TOKEN},too-short"})
        assert problem == "ACI_HOOKS_WEBHOOK_TOKENS (entry 2): must have at least 16 characters"

    @pytest.mark.parametrize("token", ["/{}", "{}/", "{}//{}", "./{}", "{}/../{}", "{}/.."])
    def test_a_token_that_no_path_can_carry_is_told_and_not_shown(self, token: str) -> None:
        (problem,) = problems(IngressSettings, INGRESS | {"ACI_HOOKS_WEBHOOK_TOKENS": token.format(TOKEN, TOKEN)})
        assert problem.startswith("ACI_HOOKS_WEBHOOK_TOKENS (entry 1): must not begin or end with a slash")
        assert TOKEN not in problem

    @pytest.mark.parametrize("token", ["{}/{}", ".{}", "{}/...", "{}?#%&=+;", "größe-{}"])
    def test_a_token_may_hold_other_characters(self, token: str) -> None:
        read_settings(IngressSettings, INGRESS | {"ACI_HOOKS_WEBHOOK_TOKENS": token.format(TOKEN, TOKEN)})

    def test_at_least_one_token_or_secret_is_required(self) -> None:
        (problem,) = problems(IngressSettings, STORAGE)
        assert problem.startswith("ACI_HOOKS_WEBHOOK_TOKENS: not set")
        read_settings(IngressSettings, STORAGE | {"ACI_HOOKS_SECRET_GHCR": "x" * 16})

    def test_a_secret_that_its_sender_cannot_send_lets_nobody_in(self) -> None:
        useless = {f"ACI_HOOKS_SECRET_{sender.upper()}": "x" * 16 for sender in SENDERS_WITHOUT_SECRETS}
        (problem,) = problems(IngressSettings, STORAGE | useless)
        assert problem.startswith("ACI_HOOKS_WEBHOOK_TOKENS: not set")
        assert "(not dockerhub, gcr, quay)" in problem
        read_settings(IngressSettings, STORAGE | useless | {"ACI_HOOKS_SECRET_GHCR": "x" * 16})

    def test_googles_audience_and_email_go_together(self) -> None:
        for name in ("ACI_HOOKS_GCR_AUDIENCE", "ACI_HOOKS_GCR_EMAIL"):
            (problem,) = problems(IngressSettings, INGRESS | {name: "x"})
            assert problem == "ACI_HOOKS_GCR_AUDIENCE: set it together with ACI_HOOKS_GCR_EMAIL, or set neither"

    @pytest.mark.parametrize(
        ("url", "wrong"),
        [
            ("http://keys.example/certs", "must be an https URL; plain http"),
            ("keys.example", "must be an http or https URL"),
        ],
    )
    def test_googles_keys_never_cross_a_network_in_the_clear(self, url: str, wrong: str) -> None:
        (problem,) = problems(IngressSettings, INGRESS | {"ACI_HOOKS_GCR_JWKS_URL": url})
        assert problem.startswith(f"ACI_HOOKS_GCR_JWKS_URL: {wrong}")
        read_settings(IngressSettings, INGRESS | {"ACI_HOOKS_GCR_JWKS_URL": "http://127.0.0.1:8000/certs"})

    def test_a_senders_secrets_are_more_than_commas(self) -> None:
        (problem,) = problems(IngressSettings, INGRESS | {"ACI_HOOKS_SECRET_GHCR": ", ,"})
        assert problem == "ACI_HOOKS_SECRET_GHCR: contains no secret, only commas"

    def test_secrets_of_a_sender_are_gathered(self) -> None:
        settings = read_settings(IngressSettings, INGRESS | {"ACI_HOOKS_SECRET_GHCR": f"{ONE},{TWO}"})
        assert [sender_secret.get_secret_value() for sender_secret in settings.sender_secrets["ghcr"]] == [ONE, TWO]

    def test_a_senders_secret_is_as_long_as_a_token(self) -> None:
        (problem,) = problems(IngressSettings, INGRESS | {"ACI_HOOKS_SECRET_GHCR": f"{ONE},{'x' * 15}"})
        assert problem == "ACI_HOOKS_SECRET_GHCR (entry 2): must have at least 16 characters"

    def test_every_sender_is_served_unless_some_are_named(self) -> None:
        assert read_settings(IngressSettings, INGRESS).senders == SENDERS
        assert read_settings(IngressSettings, INGRESS | {"ACI_HOOKS_SENDERS": "all"}).senders == SENDERS
        assert read_settings(IngressSettings, INGRESS | {"ACI_HOOKS_SENDERS": "ghcr, quay"}).senders == ("ghcr", "quay")
        (problem,) = problems(IngressSettings, INGRESS | {"ACI_HOOKS_SENDERS": "ghcr,dockerhubb"})
        assert problem.startswith("ACI_HOOKS_SENDERS (entry 2): must be one of")
        assert problem.endswith("did you mean dockerhub?")
        (problem,) = problems(IngressSettings, INGRESS | {"ACI_HOOKS_SENDERS": ","})
        assert problem == "ACI_HOOKS_SENDERS: names no sender, only commas"

    @pytest.mark.parametrize(
        "given",
        [
            {"ACI_HOOKS_SECRET_GHCR": ONE},
            {"ACI_HOOKS_GCR_AUDIENCE": "https://hooks.example.test", "ACI_HOOKS_GCR_EMAIL": "a@b.test"},
        ],
    )
    def test_a_secret_of_a_sender_that_is_not_served_lets_nobody_in(self, given: dict[str, str]) -> None:
        (problem,) = problems(IngressSettings, STORAGE | given | {"ACI_HOOKS_SENDERS": "generic"})
        assert problem.startswith("ACI_HOOKS_WEBHOOK_TOKENS: not set")

    def test_a_receivers_file_lets_somebody_in(self) -> None:
        assert read_settings(IngressSettings, STORAGE | {"ACI_HOOKS_RECEIVERS": "r.yaml"}).receivers_file == "r.yaml"

    def test_an_unknown_sender_is_told(self) -> None:
        (problem,) = problems(IngressSettings, INGRESS | {"ACI_HOOKS_SECRET_GITHUB": "x" * 16})
        assert problem.startswith("ACI_HOOKS_SECRET_GITHUB: ")


def test_every_secret_is_known_for_hiding() -> None:
    environment = INGRESS | {"AZURE_CLIENT_SECRET": "client", "ACI_HOOKS_SECRET_GHCR": f"{ONE},{TWO}"}
    hidden = read_settings(IngressSettings, environment).secret_values()
    assert sorted(hidden) == sorted([TOKEN, "client", ONE, TWO, STORAGE["AZURE_STORAGE_CONNECTION_STRING"]])


def test_no_secret_is_shown() -> None:
    settings = read_settings(IngressSettings, INGRESS | {"AZURE_CLIENT_SECRET": "do-not-show"})
    assert "do-not-show" not in f"{settings!r}{settings}"
    assert TOKEN not in f"{settings!r}{settings}"


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("127.8.9.1", True), ("::1", True), ("azurite", True), ("10.0.0.1", False), ("a.b", False)],
)
def test_which_hosts_are_near(host: str, *, local: bool) -> None:
    assert is_local(host) is local


def test_the_variables_are_known_by_name() -> None:
    assert {"AZURE_TENANT_ID", "ACI_HOOKS_TARGETS", "RESOURCE_GROUP_NAME"} <= set(variables(WorkerSettings))
    assert {"PORT", "ACI_HOOKS_MAX_BODY"} <= set(variables(IngressSettings))
