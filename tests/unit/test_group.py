"""ContainerGroup: what a group shows, which secrets it withholds, and the body of a PUT."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.builders import SHOP, Json, at, crash_loop, digest, event, group, running, waiting
from worker.groups.group import ContainerGroup
from worker.groups.health import Broken, Healthy, Pending
from worker.groups.withheld import Secret, missing_secrets, unfit

RICH: Json = {
    "id": "/subscriptions/Sub/resourceGroups/web/providers/Microsoft.ContainerInstance/containerGroups/shop",
    "name": "shop",
    "type": "Microsoft.ContainerInstance/containerGroups",
    "location": "westeurope",
    "systemData": {"createdBy": "ann"},
    "tags": {"team": "shop"},
    "zones": ["1"],
    "novelty": {"at": ["the", "top"]},
    "identity": {
        "type": "SystemAssigned, UserAssigned",
        "principalId": "p",
        "tenantId": "t",
        "userAssignedIdentities": {
            "/subscriptions/sub/ids/one": {"principalId": "p1", "clientId": "c1"},
            "/subscriptions/sub/ids/two": {"principalId": "p2", "clientId": "c2", "novelty": 1.5},
            "/subscriptions/sub/ids/three": None,
        },
    },
    "properties": {
        "sku": "Standard",
        "provisioningState": "Succeeded",
        "isCreatedFromStandbyPool": False,
        "provisioningTimeoutInSeconds": 1800,
        "isCustomProvisioningTimeout": False,
        "osType": "Linux",
        "restartPolicy": "Always",
        "novelty": None,
        "instanceView": {"state": "Running", "events": []},
        "containers": [
            {
                "name": "web",
                "novelty": True,
                "properties": {
                    "image": "index.docker.io/acme/shop:1",
                    "ports": [{"port": 80}],
                    "command": ["serve", "--größe"],
                    "environmentVariables": [{"name": "MODE", "value": ""}, {"name": "PASSWORD"}],
                    "resources": {"requests": {"memoryInGB": 1.5, "cpu": 1.0}, "limits": {"cpu": 2.0}},
                    "volumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": False}],
                    "instanceView": {"restartCount": 0},
                    "novelty": {"deep": [1, 1.0, 1e-3]},
                },
            },
            {
                "name": "proxy",
                "properties": {"image": "envoy:1", "environmentVariables": [], "ports": [], "instanceView": {}},
            },
        ],
        "initContainers": [
            {
                "name": "init",
                "properties": {
                    "image": "acme/shop:1",
                    "environmentVariables": [{"name": "TOKEN"}],
                    "instanceView": {},
                },
            }
        ],
        "ipAddress": {
            "ip": "20.50.0.2",
            "type": "Public",
            "ports": [{"port": 80}],
            "dnsNameLabel": "shop",
            "fqdn": "shop.westeurope.azurecontainer.io",
        },
        "imageRegistryCredentials": [
            {"server": "acme.azurecr.io", "identity": "/subscriptions/sub/ids/one", "isDelegatedIdentity": False},
            {"server": "index.docker.io", "username": "acme"},
        ],
        "volumes": [
            {"name": "data", "azureFile": {"shareName": "s", "storageAccountName": "a", "novelty": 7}},
            {"name": "certs", "secret": {}},
            {"name": "scratch", "emptyDir": {}},
        ],
        "diagnostics": {"logAnalytics": {"workspaceId": "w", "logType": "ContainerInsights"}},
        "subnetIds": [{"id": "/subnets/one"}],
    },
}
SECRETS = {
    "env/web/PASSWORD": "p-web",
    "env/init/TOKEN": "t-init",
    "registry/index.docker.io": "p-hub",
    "volume/data/storage-account-key": "k-data",
    "volume/certs/secret/tls.pem": "größe",
    "volume/certs/secret/tls.key": "key",
    "log-analytics/workspace-key": "k-log",
}
WITHHELD = [
    "env/web/PASSWORD",
    "env/init/TOKEN",
    "registry/index.docker.io",
    "volume/data/storage-account-key",
    "volume/certs/secret/<file>",
    "log-analytics/workspace-key",
]
READ_ONLY = {
    "id",
    "name",
    "type",
    "systemData",
    "identity.principalId",
    "identity.tenantId",
    "identity.userAssignedIdentities./subscriptions/sub/ids/one.principalId",
    "identity.userAssignedIdentities./subscriptions/sub/ids/one.clientId",
    "identity.userAssignedIdentities./subscriptions/sub/ids/two.principalId",
    "identity.userAssignedIdentities./subscriptions/sub/ids/two.clientId",
    "properties.provisioningState",
    "properties.isCreatedFromStandbyPool",
    "properties.provisioningTimeoutInSeconds",
    "properties.isCustomProvisioningTimeout",
    "properties.imageRegistryCredentials.0.isDelegatedIdentity",
    "properties.instanceView",
    "properties.containers.0.properties.instanceView",
    "properties.containers.1.properties.instanceView",
    "properties.initContainers.0.properties.instanceView",
    "properties.ipAddress.fqdn",
}


KUBE_PROXY = "extension/kube-proxy/protectedSettings"
WITH_EXTENSIONS: Json = {
    "properties": {
        "extensions": [
            {"name": "kube-proxy", "properties": {"extensionType": "kube-proxy", "settings": {"clusterCidr": "c"}}},
            {"name": "metrics", "properties": {"extensionType": "realtime-metrics", "version": "1.0"}},
            {"name": "given", "properties": {"extensionType": "other", "protectedSettings": {}}},
            {"name": "bare"},
            {"name": "bare-too", "properties": None},
        ]
    }
}


def differences(before: object, after: object, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON values differ: (path, before, after), `...` standing for what is not there."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(after.keys() - before.keys())]:
            yield from differences(before.get(key, ...), after.get(key, ...), f"{path}.{key}".lstrip("."))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (item, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(item, other, f"{path}.{number}")
    elif before != after or type(before) is not type(after):
        yield path, before, after


def put(raw: Json, images: dict[str, str], secrets: Mapping[str, Secret] | None = None) -> Json:
    """The body of a PUT, read back."""
    body: Json = json.loads(ContainerGroup(raw).definition(images, secrets or {}))
    return body


def but(path: str, value: object) -> Json:
    """RICH with one place changed; `...` removes it."""
    raw = copy.deepcopy(RICH)
    *steps, last = path.split(".")
    place: Any = raw
    for step in steps:
        place = place[int(step) if step.isdigit() else step]
    if value is ...:
        del place[last]
    else:
        place[int(last) if last.isdigit() else last] = value
    return raw


class TestDefinition:
    def test_it_differs_from_the_group_in_the_image_alone(self) -> None:
        changes = list(differences(RICH, put(RICH, {"web": "index.docker.io/acme/shop:2"})))
        read_only = {path for path, _, after in changes if after is ...}
        assert read_only == READ_ONLY
        assert [change for change in changes if change[0] not in read_only] == [
            ("properties.containers.0.properties.image", "index.docker.io/acme/shop:1", "index.docker.io/acme/shop:2")
        ]

    def test_without_an_image_nothing_changes(self) -> None:
        assert {path for path, _, _ in differences(RICH, put(RICH, {}))} == READ_ONLY

    def test_several_images_go_at_once_and_unknown_containers_nowhere(self) -> None:
        changes = {path for path, _, _ in differences(RICH, put(RICH, {"web": "a:2", "proxy": "b:2", "init": "c:2"}))}
        images = {"properties.containers.0.properties.image", "properties.containers.1.properties.image"}
        assert changes - READ_ONLY == images

    def test_the_secrets_that_azure_withholds_are_put_in_and_nothing_else(self) -> None:
        changes = {path: after for path, _, after in differences(RICH, put(RICH, {}, SECRETS)) if after is not ...}
        assert changes == {
            "properties.containers.0.properties.environmentVariables.1.secureValue": "p-web",
            "properties.initContainers.0.properties.environmentVariables.0.secureValue": "t-init",
            "properties.imageRegistryCredentials.1.password": "p-hub",
            "properties.volumes.0.azureFile.storageAccountKey": "k-data",
            "properties.volumes.1.secret.tls.pem": base64.b64encode("größe".encode()).decode(),
            "properties.volumes.1.secret.tls.key": base64.b64encode(b"key").decode(),
            "properties.diagnostics.logAnalytics.workspaceKey": "k-log",
        }

    @pytest.mark.parametrize("path", [*SECRETS, "env/proxy/MODE", "env/web/MODE", "registry/acme.azurecr.io"])
    def test_one_secret_changes_its_own_place_alone(self, path: str) -> None:
        changes = [path for path, _, after in differences(RICH, put(RICH, {}, {path: "x"})) if after is not ...]
        assert len(changes) == (1 if path in SECRETS else 0)

    def test_a_secret_is_not_put_where_a_value_is_known(self) -> None:
        raw = but("properties.containers.0.properties.environmentVariables.1", {"name": "PASSWORD", "value": "open"})
        assert {path for path, _, _ in differences(raw, put(raw, {}, SECRETS))} >= READ_ONLY
        variable = put(raw, {}, SECRETS)["properties"]["containers"][0]["properties"]["environmentVariables"][1]
        assert variable == {"name": "PASSWORD", "value": "open"}

    def test_of_two_entries_with_one_name_the_withheld_one_gets_the_secret(self) -> None:
        # Regression: the other one got a password beside its identity, which Azure refuses.
        with_identity = {"server": "index.docker.io", "identity": "/subscriptions/sub/ids/one"}
        raw = but("properties.imageRegistryCredentials.0", with_identity)
        first, second = put(raw, {}, SECRETS)["properties"]["imageRegistryCredentials"]
        assert first == with_identity
        assert second == {"server": "index.docker.io", "username": "acme", "password": "p-hub"}

    def test_files_of_a_secret_volume_go_out_as_the_bytes_that_they_are(self) -> None:
        # Regression: a PFX certificate, as Azure's own quickstart mounts one, could not be configured.
        pfx = bytes(range(256))
        body = put(RICH, {}, {"volume/certs/secret/tls.pfx": pfx, "env/web/PASSWORD": b"gr\xc3\xb6\xc3\x9fe"})
        assert body["properties"]["volumes"][1]["secret"] == {"tls.pfx": base64.b64encode(pfx).decode()}
        assert body["properties"]["containers"][0]["properties"]["environmentVariables"][1]["secureValue"] == "größe"

    def test_protected_settings_go_out_as_an_object(self) -> None:
        secrets: dict[str, Secret] = {KUBE_PROXY: '{"kubeConfig": "k"}'}
        (settings,) = put(WITH_EXTENSIONS, {}, secrets)["properties"]["extensions"][:1]
        assert settings["properties"]["protectedSettings"] == {"kubeConfig": "k"}

    def test_text_goes_out_as_utf8(self) -> None:
        assert "--größe".encode() in ContainerGroup(RICH).definition({}, {})

    def test_the_group_itself_stays_as_it_is(self) -> None:
        raw = copy.deepcopy(RICH)
        ContainerGroup(raw).definition({"web": "acme/shop:2"}, SECRETS)
        assert raw == RICH

    @pytest.mark.parametrize("properties", [{}, {"containers": None, "ipAddress": None, "volumes": None}])
    def test_a_sparse_group_can_be_sent_too(self, properties: Json) -> None:
        raw = {"location": "westeurope", "identity": None, "properties": properties}
        assert put(raw, {"web": "acme/shop:2"}, SECRETS) == raw

    def test_a_group_without_properties_can_be_sent_back(self) -> None:
        assert put({"location": "westeurope"}, {"web": "acme/shop:2"}) == {"location": "westeurope"}

    def test_an_identity_that_no_user_assigned_can_be_sent_back(self) -> None:
        raw = but("identity", {"type": "SystemAssigned", "principalId": "p", "userAssignedIdentities": None})
        assert put(raw, {})["identity"] == {"type": "SystemAssigned", "userAssignedIdentities": None}


class TestWithheldSecrets:
    def test_all_five_kinds_are_named_in_the_spelling_of_the_targets_file(self) -> None:
        assert ContainerGroup(RICH).withheld() == WITHHELD

    @pytest.mark.parametrize(
        ("place", "value", "path"),
        [
            ("properties.containers.0.properties.environmentVariables.1.value", "", "env/web/PASSWORD"),
            ("properties.containers.0.properties.environmentVariables.1.secureValue", "x", "env/web/PASSWORD"),
            (
                "properties.containers.0.properties.environmentVariables.1.secureValueReference",
                "kv",
                "env/web/PASSWORD",
            ),
            ("properties.initContainers.0.properties.environmentVariables.0.value", "x", "env/init/TOKEN"),
            ("properties.imageRegistryCredentials.1.password", "x", "registry/index.docker.io"),
            ("properties.imageRegistryCredentials.1.passwordReference", "kv", "registry/index.docker.io"),
            ("properties.imageRegistryCredentials.1.identity", "id", "registry/index.docker.io"),
            ("properties.volumes.0.azureFile.storageAccountKey", "x", "volume/data/storage-account-key"),
            ("properties.volumes.0.azureFile.storageAccountKeyReference", "kv", "volume/data/storage-account-key"),
            ("properties.volumes.0.azureFile.userManagedIdentityClientId", "id", "volume/data/storage-account-key"),
            ("properties.volumes.1.secret", {"tls.pem": "eA=="}, "volume/certs/secret/<file>"),
            ("properties.volumes.1.secret", ..., "volume/certs/secret/<file>"),
            ("properties.diagnostics.logAnalytics.workspaceKey", "x", "log-analytics/workspace-key"),
            ("properties.diagnostics.logAnalytics.workspaceKeyReference", "kv", "log-analytics/workspace-key"),
            ("properties.diagnostics", ..., "log-analytics/workspace-key"),
            ("properties.diagnostics.logAnalytics", ..., "log-analytics/workspace-key"),
        ],
    )
    def test_what_is_given_or_referred_to_needs_none(self, place: str, value: object, path: str) -> None:
        assert ContainerGroup(but(place, value)).withheld() == [item for item in WITHHELD if item != path]

    def test_a_volume_whose_secrets_are_references_needs_none(self) -> None:
        raw = but("properties.volumes.1", {"name": "certs", "secretReference": {"tls.pem": "kv"}})
        assert "volume/certs/secret/<file>" not in ContainerGroup(raw).withheld()

    def test_protected_settings_of_extensions_are_withheld(self) -> None:
        assert ContainerGroup(WITH_EXTENSIONS).withheld() == [KUBE_PROXY]

    def test_an_extension_without_them_does_not_hide_those_of_the_next_one(self) -> None:
        backwards = {"properties": {"extensions": WITH_EXTENSIONS["properties"]["extensions"][::-1]}}
        assert ContainerGroup(backwards).withheld() == [KUBE_PROXY]

    def test_a_sparse_group_withholds_nothing(self) -> None:
        assert ContainerGroup({"properties": {}}).withheld() == []
        nothing: Json = {"environmentVariables": None}
        assert ContainerGroup({"properties": {"containers": [{"name": "a", "properties": nothing}]}}).withheld() == []


EMPTY = "is empty, and Azure takes no empty password or key"


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("volume/certs/secret/tls.pfx", b"\xff", None),
        ("env/web/PASSWORD", "größe", None),
        ("env/web/PASSWORD", b"plain", None),
        (
            "env/web/PASSWORD",
            b"ab\xff",
            "is not UTF-8 text at byte 2, and only files of a secret volume may contain other bytes",
        ),
        ("env/web/PASSWORD", "", None),
        ("volume/certs/secret/empty", b"", None),
        ("registry/acme.azurecr.io", "", EMPTY),
        ("registry/https://acme.io/v1", b"", EMPTY),
        ("volume/data/storage-account-key", "", EMPTY),
        ("log-analytics/workspace-key", b"", EMPTY),
        ("registry/acme.azurecr.io", " ", None),
        (KUBE_PROXY, "{}", None),
        (KUBE_PROXY, "7", "is not a JSON object, which protected settings are; write {} for none"),
        (KUBE_PROXY, "{", "is not a JSON object, which protected settings are; write {} for none"),
    ],
)
def test_which_values_are_fit_for_a_place(path: str, value: Secret, why: str | None) -> None:
    assert unfit(path, value) == why


class TestMissingSecrets:
    def test_all_are_missing_without_configuration_and_none_with_all_of_it(self) -> None:
        assert missing_secrets(WITHHELD, []) == WITHHELD
        assert missing_secrets(WITHHELD, SECRETS) == []

    @pytest.mark.parametrize("path", WITHHELD)
    def test_each_is_missing_on_its_own(self, path: str) -> None:
        configured = [item for item in SECRETS if not item.startswith(path.removesuffix("<file>"))]
        assert missing_secrets(WITHHELD, configured) == [path]

    @pytest.mark.parametrize(
        "configured",
        ["volume/other/secret/tls.pem", "volume/certs/storage-account-key", "env/certs/secret/tls.pem"],
    )
    def test_a_secret_volume_is_provided_by_its_own_files_alone(self, configured: str) -> None:
        assert missing_secrets(["volume/certs/secret/<file>"], [configured]) == ["volume/certs/secret/<file>"]


class TestReading:
    def test_which_group_it_is(self) -> None:
        assert ContainerGroup(RICH).id == SHOP

    def test_images(self) -> None:
        assert ContainerGroup(RICH).images == {"web": "index.docker.io/acme/shop:1", "proxy": "envoy:1"}
        assert ContainerGroup({"properties": {"containers": [{"name": "a", "properties": {}}]}}).images == {"a": ""}
        assert ContainerGroup({}).images == {}

    @pytest.mark.parametrize(("raw", "tags"), [({"tags": {"a": "b"}}, {"a": "b"}), ({"tags": None}, {}), ({}, {})])
    def test_tags(self, raw: Json, tags: Json) -> None:
        assert ContainerGroup(raw).tags == tags

    @pytest.mark.parametrize(
        ("state", "in_transition", "failed"),
        [
            ("Succeeded", False, False),
            ("Failed", False, True),
            ("Canceled", False, True),
            ("Unhealthy", True, False),
            ("succeeded", False, False),
            (None, False, False),
            ("Pending", True, False),
            ("Creating", True, False),
            ("Updating", True, False),
            ("Repairing", True, False),
            ("SomethingNew", True, False),
        ],
    )
    def test_the_state_of_its_operation(self, state: str | None, *, in_transition: bool, failed: bool) -> None:
        shown = ContainerGroup({"properties": {"provisioningState": state}})
        assert (shown.in_transition, shown.failed) == (in_transition, failed)

    @pytest.mark.parametrize(
        ("state", "under_repair"),
        [("Unhealthy", True), ("Repairing", True), ("Updating", False), ("Succeeded", False), (None, False)],
    )
    def test_whether_its_node_is_down(self, state: str | None, *, under_repair: bool) -> None:
        assert ContainerGroup({"properties": {"provisioningState": state}}).under_repair is under_repair

    @pytest.mark.parametrize(
        ("view", "stopped"),
        [({"state": "Stopped"}, True), ({"state": "stopped"}, True), ({"state": "Running"}, False), ({}, False)],
    )
    def test_whether_its_owner_stopped_it(self, view: Json, *, stopped: bool) -> None:
        assert ContainerGroup({"properties": {"instanceView": view}}).stopped is stopped

    def test_a_list_does_not_say_whether_it_is_stopped(self) -> None:
        assert not ContainerGroup({"properties": {}}).stopped

    @pytest.mark.parametrize(
        ("shown", "address"),
        [
            ({"ip": "20.50.0.2", "fqdn": "f", "type": "Public"}, {"ip": "20.50.0.2", "fqdn": "f"}),
            ({"ip": "20.50.0.2", "fqdn": None}, {"ip": "20.50.0.2"}),
            ({"type": "Public"}, {}),
            ({"ip": "0.0.0.0", "fqdn": "f"}, {"fqdn": "f"}),
            ({"ip": "", "fqdn": "f"}, {"fqdn": "f"}),
            (None, {}),
        ],
    )
    def test_its_address(self, shown: Json | None, address: dict[str, str]) -> None:
        assert ContainerGroup({"properties": {"ipAddress": shown}}).address == address


class TestHealth:
    def test_of_each_container_by_its_own_view(self) -> None:
        shown = group({"web": "a:1", "jobs": "b:1"}, {"web": running(5), "jobs": waiting()})
        assert shown.health("web", at(0)) == Healthy(at(5))
        assert shown.health("jobs", at(0)) == Pending("is waiting")
        assert shown.health("gone", at(0)) == Pending("is unknown")

    @pytest.mark.parametrize("view", [None, {}])
    def test_without_a_view_nobody_can_tell(self, view: Json | None) -> None:
        raw = {"properties": {"containers": [{"name": "web", "properties": {"instanceView": view}}]}}
        assert ContainerGroup(raw).health("web", at(0)) == Pending("is unknown")

    def test_the_groups_events_and_restart_policy_count(self) -> None:
        ended: Json = {"currentState": {"state": "Terminated", "exitCode": 1, "finishTime": at(5).isoformat()}}
        never = group({"web": "a:1"}, {"web": ended}, restartPolicy="Never")
        assert never.health("web", at(0)) == Broken("ContainerFailed", "ended with exit code 1")
        always = group({"web": "a:1"}, {"web": ended})
        assert always.health("web", at(0)) == Pending("ended with exit code 1 and will be restarted")
        mount = event("FailedMount", 9, "no such share", "Warning")
        warned = group({"web": "a:1"}, {"web": running(5)}, instanceView={"state": "Running", "events": [mount]})
        assert warned.health("web", at(0)) == Healthy(at(9))

    @pytest.mark.parametrize(
        ("state", "broken"), [("Unhealthy", False), ("Repairing", False), ("Updating", True), ("Succeeded", True)]
    )
    def test_nothing_is_certain_to_be_broken_while_its_node_is_down(self, state: str, *, broken: bool) -> None:
        shown = group({"web": "a:1"}, {"web": crash_loop(5)}, provisioningState=state)
        what = "CrashLoopBackOff: Back-off 10s restarting failed; 1 restarts; last exit code 1 (Error)"
        on_its_way = Pending(f"is on a node that is down ({what})")
        assert shown.health("web", at(0)) == (Broken("CrashLoop", what) if broken else on_its_way)

    def test_a_container_that_waits_for_a_broken_init_container_is_broken(self) -> None:
        init = {"name": "prepare", "properties": {"image": "acme/init:1", "instanceView": crash_loop(5)}}
        shown = group({"web": "a:1", "jobs": "b:1"}, {"web": waiting(), "jobs": running(-99)}, initContainers=[init])
        back_off = "CrashLoopBackOff: Back-off 10s restarting failed; 1 restarts; last exit code 1 (Error)"
        assert shown.health("web", at(0)) == Broken("CrashLoop", f"init container prepare: {back_off}")
        assert (shown.culprit("web", at(0)), shown.culprit("jobs", at(0))) == ("prepare", "jobs")
        assert shown.health("jobs", at(0)) == Pending("has not been restarted yet", started=False)
        assert shown.health("web", at(9)) == Pending("is waiting")

    def test_every_worker_goes_by_azures_clock(self) -> None:
        shown = ContainerGroup(group({"web": "a:1"}, {"web": running(100)}).raw, timedelta(seconds=95))
        assert shown.azure_time(at(5)) == at(100)
        assert shown.health("web", shown.azure_time(at(5))) == Healthy(at(100))


class TestRunningDigest:
    PULLED = event("Pulled", 100, f'Successfully pulled image "acme/shop@{digest("one")}"')

    def test_of_its_own_container(self) -> None:
        shown = group({"web": "a:1", "jobs": "b:1"}, {"web": running(5, self.PULLED), "jobs": {}})
        assert shown.running_digest("web") == digest("one")
        assert shown.running_digest("jobs") is None
        assert shown.running_digest("gone") is None

    def test_without_a_view_it_is_not_known(self) -> None:
        raw = {"properties": {"containers": [{"name": "web", "properties": {"instanceView": None}}]}}
        assert ContainerGroup(raw).running_digest("web") is None

    def test_not_older_than_asked_for(self) -> None:
        shown = group({"web": "a:1"}, {"web": running(100, self.PULLED)})
        assert shown.running_digest("web", at(100)) == digest("one")
        assert shown.running_digest("web", at(103)) is None


class TestWarnings:
    def test_the_newest_first_of_the_group_and_its_containers(self) -> None:
        web = running(5, event("BackOff", 3, "again", "Warning"), event("Pulled", 9))
        view = {"state": "Running", "events": [event("FailedMount", 4, "no share", "Warning")]}
        shown = group({"web": "a:1", "jobs": "b:1"}, {"web": web, "jobs": {"events": None}}, instanceView=view)
        assert shown.warnings() == ["FailedMount: no share", "BackOff: again"]

    def test_those_of_init_containers_count(self) -> None:
        view = {"events": [event("Failed", 4, "no such image", "Warning")]}
        shown = group(initContainers=[{"name": "prepare", "properties": {"image": "a:1", "instanceView": view}}])
        assert shown.warnings() == ["Failed: no such image"]

    def test_at_most_five(self) -> None:
        many = [event(f"W{number}", number, "x", "Warning") for number in range(7)]
        assert group(views={"web": running(5, *many)}).warnings() == [f"W{number}: x" for number in (6, 5, 4, 3, 2)]

    def test_none_without_a_view(self) -> None:
        assert ContainerGroup({"properties": {"containers": [{"name": "a", "properties": {}}]}}).warnings() == []


def test_only_instance_views_are_redacted_and_a_container_need_not_have_one() -> None:
    view = {"events": [event("Failed", 4, "hunter2 was refused", "Warning")]}
    shown = group({"web": "a:1", "hunter2": "b:1"}, {"web": view, "hunter2": {}})
    redacted = shown.redacted(lambda text: text.replace("hunter2", "***"))
    assert redacted.warnings() == ["Failed: *** was refused"]
    assert redacted.images == shown.images
    assert shown.warnings() == ["Failed: hunter2 was refused"], "the group at hand stays as it is"


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        (group(), False),
        (group(views={"web": waiting()}), False),
        (group(views={"web": crash_loop(5)}), True),
        (group({"web": "a:1", "jobs": "b:1"}, {"jobs": crash_loop(5)}), True),
        (group(views={"web": running(0, event("Failed", 5, "no", "Warning"))}), True),
        (group(initContainers=[{"name": "prepare", "properties": {"instanceView": crash_loop(5)}}]), True),
        (group(instanceView={"events": [event("Failed", 5, "no", "Warning")]}), True),
        (ContainerGroup({"properties": {}}), False),
    ],
)
def test_a_group_says_something_where_any_part_of_it_reports_trouble(shown: ContainerGroup, *, says: bool) -> None:
    assert shown.says_something is says


@pytest.mark.parametrize(
    "view",
    [
        None,
        "text",
        [],
        {"currentState": "Running", "previousState": 7, "events": "none"},
        {"currentState": None, "previousState": None, "events": None},
        {"events": [None, "text", 7]},
    ],
)
def test_an_instance_view_of_any_other_shape_says_nothing(view: Any) -> None:
    shown = group(views={"web": view})
    assert shown.health("web", at(0)) == Pending("is unknown")
    assert (shown.warnings(), shown.says_something, shown.running_digest("web")) == ([], False, None)


@pytest.mark.parametrize(("image", "broken"), [("acme/init:1", True), ("acme/init:0", False)])
def test_the_failed_pull_of_another_image_is_no_fault_of_an_init_container(image: str, *, broken: bool) -> None:
    failed = waiting() | {"events": [event("Failed", 5, f'Failed to pull image "{image}": no', "Warning")]}
    init = {"name": "prepare", "properties": {"image": "acme/init:1", "instanceView": failed}}
    shown = group(views={"web": waiting()}, initContainers=[init])
    assert isinstance(shown.health("web", at(0)), Broken) is broken
