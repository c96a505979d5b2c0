"""Where images are pulled from whose webhook does not say it: the settings' grammar and the choice among entries."""

from __future__ import annotations

import pytest

from shared.environment import SettingsError, read_settings
from shared.registry_hosts import RegistryHost, named, unnamed
from shared.settings import IngressSettings

ENVIRONMENT = {"AZURE_STORAGE_ACCOUNT": "acme7", "ACI_HOOKS_WEBHOOK_TOKENS": "a-token-of-16-ch"}
FORM = "write HOST[/PATH] for every repository or NAME=HOST[/PATH] for one"
NEXUS, ARTIFACTORY = "ACI_HOOKS_NEXUS_REGISTRY", "ACI_HOOKS_ARTIFACTORY_REGISTRY"


def read(text: str) -> tuple[RegistryHost, ...]:
    return read_settings(IngressSettings, {**ENVIRONMENT, NEXUS: text}).nexus_registry


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nexus.example.com:8083", RegistryHost("nexus.example.com:8083")),
        ("Nexus.example.com:443", RegistryHost("nexus.example.com")),
        ("nexus.example.com/", RegistryHost("nexus.example.com")),
        ("nexus.example.com/{repository}", RegistryHost("nexus.example.com", "{repository}")),
        ("nexus.example.com/docker/{repository}/all/", RegistryHost("nexus.example.com", "docker/{repository}/all")),
        ("docker-ci=ci.example.com", RegistryHost("ci.example.com", repository="docker-ci")),
        (" docker-ci = ci.example.com/a ", RegistryHost("ci.example.com", "a", "docker-ci")),
        ("Docker.CI_1=ci.example.com", RegistryHost("ci.example.com", repository="Docker.CI_1")),
        ("localhost:8083", RegistryHost("localhost:8083")),
    ],
)
def test_an_entry_is_read(text: str, expected: RegistryHost) -> None:
    assert read(text) == (expected,)


def test_several_entries_are_between_commas() -> None:
    hosts = read("nexus.example.com/{repository}, docker-ci=ci.example.com:8083,")
    assert [host.host for host in hosts] == ["nexus.example.com", "ci.example.com:8083"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("https://nexus.example.com", f": must not begin with a scheme such as https://; {FORM}"),
        ("docker=https://nexus.example.com", "must not begin with a scheme"),
        ("=nexus.example.com", f": lacks a name before the =; {FORM}"),
        ("docker=", f"'' is not a registry host; {FORM}"),
        ("nexus_1.example.com", "'nexus_1.example.com' is not a registry host"),
        ("nexus", "'nexus' has neither a dot nor a port"),
        ("nexus.example.com/{repo}", "'{repo}' is not a path"),
        ("nexus.example.com/Docker", "'Docker' is not a path"),
        ("nexus.example.com//docker", "is not a path"),
        ("nexus.example.com/dockerX", "'dockerX' is not a path"),
        (f"nexus.example.com/{'A' * 81}", f"'{'A' * 80}' is not a path"),
    ],
)
def test_what_is_wrong_with_an_entry_is_told(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(f"other.example.com,{text}")
    (told,) = raised.value.problems
    assert told.startswith(f"{NEXUS} (entry 2): ")
    assert problem in told


@pytest.mark.parametrize(
    ("text", "which"),
    [
        ("a.test,b.test", "every repository"),
        ("x=a.test,x=b.test/{repository},c.test", "x"),
        ("x=a.test,a=a.test,b=a.test,x=b.test,b=b.test,a=b.test", "a, b, x"),
    ],
)
def test_two_entries_for_the_same_are_refused(text: str, which: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(IngressSettings, {**ENVIRONMENT, ARTIFACTORY: text})
    assert raised.value.problems == [f"{ARTIFACTORY}: has two entries for {which}; keep one of them"]


def test_the_entry_of_a_repository_is_found() -> None:
    own, common = RegistryHost("ci.test", repository="docker-ci"), RegistryHost("nexus.test")
    assert named((common, own), "docker-ci") == own
    assert named((common, own), "docker") is None
    assert named((common, own), None) is None
    assert unnamed((own, common)) == common
    assert unnamed((own,)) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [("", "acme/shop"), ("docker", "docker/acme/shop"), ("{repository}", "docker-ci/acme/shop")],
)
def test_an_image_is_named_below_the_path(path: str, expected: str) -> None:
    assert RegistryHost("nexus.test", path).image_name("docker-ci", "acme/shop") == expected


def test_a_value_that_is_read_already_stays_as_it_is() -> None:
    settings = IngressSettings(
        storage_account="acme7",
        webhook_tokens=ENVIRONMENT["ACI_HOOKS_WEBHOOK_TOKENS"],
        artifactory_registry=(RegistryHost("acme.test"),),
    )
    assert settings.artifactory_registry == (RegistryHost("acme.test"),)
