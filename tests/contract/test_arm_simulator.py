"""The real azure-mgmt-containerinstance SDK against the ARM simulator: what the worker is built on holds there."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any

import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.mgmt.containerinstance import ContainerInstanceManagementClient
from azure.mgmt.containerinstance.models import ContainerGroup

from tests.arm_simulator import ArmSimulator, SimulatorRefusedError
from tests.arm_simulator.images import default_digest
from tests.arm_simulator.limits import RateLimits
from tests.arm_simulator.messages import ArmError
from tests.processes import wait_until

Json = dict[str, Any]

SUBSCRIPTION = "00000000-0000-0000-0000-00000000000a"
RESOURCE_GROUP = "shop-rg"
GROUP = "shop"
IDENTITY = "/subscriptions/s/resourceGroups/r/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller"
QUICK = {"transition_seconds": 0.1, "pull_seconds": 0.04, "restart_lag_seconds": 0.05, "back_off_seconds": 0.1}
DIGEST = f"sha256:{'ab' * 32}"


class Credential:
    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("token", int(time.time()) + 3600)


class AllowPlainHttp(SansIOHTTPPolicy[Any, Any]):
    """azure-core keeps bearer tokens off plain HTTP, unless the request's options say otherwise."""

    def on_request(self, request: PipelineRequest[Any]) -> None:
        request.context.options.setdefault("enforce_https", False)


def raw(response: Any, *_: object) -> Any:
    return response.http_response


class Azure:
    """The SDK as the worker uses it: bytes in, bytes out, no retries and no polling of its own."""

    def __init__(self, url: str, api_version: str = "2025-09-01") -> None:
        self.client = ContainerInstanceManagementClient(
            Credential(),
            SUBSCRIPTION,
            url,
            api_version=api_version,
            retry_total=0,
            polling_interval=0,
            per_call_policies=[AllowPlainHttp()],
        )
        self.groups: Any = self.client.container_groups  # its types don't know that it takes bytes

    def get(self, name: str = GROUP) -> Json:
        body: Json = json.loads(self.groups.get(RESOURCE_GROUP, name, cls=raw).text())
        return body

    def put(self, body: Json, name: str = GROUP) -> Any:
        content = json.dumps(body).encode()
        return self.groups.begin_create_or_update(RESOURCE_GROUP, name, content, polling=False, cls=raw).result()

    def put_image(self, image: str) -> Any:
        body = self.get()
        container(body)["image"] = image
        return self.put(body)

    def restart(self) -> Any:
        return self.groups.begin_restart(RESOURCE_GROUP, GROUP, polling=False, cls=raw).result()

    def start(self) -> Any:
        return self.groups.begin_start(RESOURCE_GROUP, GROUP, polling=False)

    def settled(self) -> Json:
        """The group once it is out of its transition."""
        on_the_way = ("Pending", "Creating", "Updating", "Unhealthy", "Repairing")
        return until(self.get, lambda body: body["properties"]["provisioningState"] not in on_the_way)


def until(look: Callable[[], Json], wanted: Callable[[Json], bool]) -> Json:
    """What `look` shows once it is as `wanted`."""
    seen = [look()]

    def is_wanted() -> bool:
        seen.append(look())
        return wanted(seen[-1])

    wait_until(is_wanted, 60, "what was looked for")
    return seen[-1]


def container(body: Json, index: int = 0) -> Json:
    properties: Json = body["properties"]["containers"][index]["properties"]
    return properties


def current_state(body: Json) -> Json:
    state: Json = container(body)["instanceView"]["currentState"]
    return state


def events(body: Json, name: str) -> list[Json]:
    return [event for event in container(body)["instanceView"]["events"] if event["name"] == name]


def definition(**properties: Any) -> Json:
    resources = {"requests": {"cpu": 1, "memoryInGB": 1.5}}
    containers = [{"name": "web", "properties": {"image": "acme/shop:v1", "resources": resources}}]
    address = {"type": "Public", "dnsNameLabel": "acme", "ports": [{"port": 80}]}
    return {
        "location": "West Europe",
        "properties": {"containers": containers, "osType": "Linux", "ipAddress": address, **properties},
    }


def with_secrets() -> Json:
    body = definition(
        imageRegistryCredentials=[{"server": "r.example", "username": "u", "password": "hush-1"}],
        volumes=[
            {
                "name": "share",
                "azureFile": {"shareName": "s", "storageAccountName": "a", "storageAccountKey": "hush-2"},
            },
            {"name": "files", "secret": {"key.pem": "hush-3"}},
        ],
        diagnostics={"logAnalytics": {"workspaceId": "w", "workspaceKey": "hush-4"}},
    )
    container(body)["environmentVariables"] = [{"name": "A", "value": ""}, {"name": "B", "secureValue": "hush-5"}]
    return body


@pytest.fixture
def arm() -> Iterator[ArmSimulator]:
    with ArmSimulator() as simulator:
        simulator.client.options(**QUICK)
        yield simulator


@pytest.fixture
def azure(arm: ArmSimulator) -> Iterator[Azure]:
    azure = Azure(arm.url)
    with azure.client:
        yield azure


@pytest.fixture
def group(arm: ArmSimulator) -> None:
    place(arm, definition())


def place(arm: ArmSimulator, body: Json, name: str = GROUP, state: str = "Running") -> None:
    arm.client.put_group(SUBSCRIPTION, RESOURCE_GROUP, name, body, state=state)


def refused(
    call: Callable[[], object], kind: type[HttpResponseError] = HttpResponseError
) -> tuple[int | None, str | None]:
    """The status and the code with which a call is refused."""
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.error is not None
    return caught.value.status_code, caught.value.error.code


def throttled(call: Callable[[], object]) -> tuple[str | None, int]:
    """The code and the seconds of Retry-After with which a call is throttled."""
    with pytest.raises(HttpResponseError) as caught:
        call()
    error: Any = caught.value
    assert error.status_code == 429
    return error.error.code, int(error.response.headers["Retry-After"])


class TestReading:
    @pytest.mark.usefixtures("group")
    def test_a_running_group_has_the_shape_that_azure_gives_it(self, azure: Azure) -> None:
        body = azure.get()
        properties = body["properties"]
        assert body["id"].endswith("/Microsoft.ContainerInstance/containerGroups/shop")
        assert (body["location"], "tags" in body) == ("westeurope", False)
        assert (properties["provisioningState"], properties["instanceView"]["state"]) == ("Succeeded", "Running")
        assert properties["ipAddress"]["fqdn"] == "acme.westeurope.azurecontainer.io"
        assert "restartPolicy" not in properties
        assert (properties["initContainers"], container(body)["ports"], container(body)["environmentVariables"]) == (
            [],
        ) * 3
        assert isinstance(container(body)["resources"]["requests"]["cpu"], float)
        assert container(body)["instanceView"]["restartCount"] == 0
        assert current_state(body)["state"] == "Running"
        assert f"acme/shop@{default_digest('acme/shop:v1')}" in events(body, "Pulled")[0]["message"]

    @pytest.mark.usefixtures("group")
    def test_the_typed_model_reads_it_too(self, azure: Azure) -> None:
        group = azure.groups.get("SHOP-RG", "Shop")
        assert (group.name, group.containers[0].instance_view.current_state.state) == ("shop", "Running")

    @pytest.mark.parametrize(("version", "known"), [("2023-05-01", False), ("2025-09-01", True)])
    def test_newer_api_versions_show_more(self, arm: ArmSimulator, version: str, known: bool) -> None:
        place(arm, definition())
        azure = Azure(arm.url, version)
        with azure.client:
            assert ("isCreatedFromStandbyPool" in azure.get()["properties"]) is known

    def test_secrets_are_kept_but_never_shown(self, arm: ArmSimulator, azure: Azure) -> None:
        place(arm, with_secrets())
        body = azure.get()
        properties = body["properties"]
        assert container(body)["environmentVariables"] == [{"name": "A", "value": ""}, {"name": "B"}]
        assert properties["imageRegistryCredentials"] == [
            {"server": "r.example", "username": "u", "isDelegatedIdentity": False}
        ]
        assert properties["volumes"][0]["azureFile"] == {"shareName": "s", "storageAccountName": "a"}
        assert properties["volumes"][1]["secret"] == {}
        assert properties["diagnostics"]["logAnalytics"] == {"workspaceId": "w"}
        assert "hush" not in json.dumps(body)
        kept = json.dumps(arm.client.group(SUBSCRIPTION, RESOURCE_GROUP, GROUP))
        assert all(f"hush-{number}" in kept for number in range(1, 6))

    def test_what_is_not_there_is_404_with_its_own_code(self, arm: ArmSimulator, azure: Azure) -> None:
        assert refused(azure.get, ResourceNotFoundError) == (404, "ResourceGroupNotFound")
        assert refused(lambda: list(azure.groups.list_by_resource_group(RESOURCE_GROUP))) == (
            404,
            "ResourceGroupNotFound",
        )
        place(arm, definition(), "other")
        assert refused(azure.get, ResourceNotFoundError) == (404, "ResourceNotFound")

    def test_lists_come_in_pages_and_without_instance_views(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.options(page_size=2)
        for name in ("a", "b", "c", "d", "e"):
            place(arm, definition(), name)
        arm.client.put_group(SUBSCRIPTION, "elsewhere", "f", definition())
        everywhere = list(azure.groups.list())
        assert [group.name for group in everywhere] == ["f", "a", "b", "c", "d", "e"]
        assert [group.name for group in azure.groups.list_by_resource_group(RESOURCE_GROUP)] == list("abcde")
        assert all(group.instance_view is None and group.containers[0].instance_view is None for group in everywhere)
        assert all(group.provisioning_state == "Succeeded" and group.ip_address.ip for group in everywhere)
        assert arm.client.stats()["lists"] == 6

    def test_requests_that_arm_turns_away(self, arm: ArmSimulator) -> None:
        place(arm, definition())
        path = f"{arm.url}/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}"
        path += "/providers/Microsoft.ContainerInstance/containerGroups/shop"
        bearer = {"Authorization": "Bearer token"}
        version = {"api-version": "2025-09-01"}
        answers = [
            httpx.get(path, params=version),
            httpx.get(path, headers=bearer),
            httpx.put(path, params=version, headers=bearer, content=b"{"),
            httpx.post(path, params=version, headers=bearer),
            httpx.get(f"{path}/nothing/here", params=version, headers=bearer),
        ]
        assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [
            (401, "AuthenticationFailed"),
            (400, "MissingApiVersionParameter"),
            (400, "InvalidRequestContent"),
            (405, "MethodNotAllowed"),
            (404, "NotFound"),
        ]


@pytest.mark.usefixtures("group")
class TestUpdate:
    def test_a_new_image_goes_from_pending_to_running_and_keeps_the_address(self, azure: Azure) -> None:
        before = azure.get()
        response = azure.put_image("acme/shop:v2")
        accepted = json.loads(response.text())
        assert response.status_code == 201
        assert accepted["properties"]["provisioningState"] == "Pending"
        assert accepted["properties"]["instanceView"] == {"events": [], "state": "Pending"}
        after = azure.settled()
        assert after["properties"]["provisioningState"] == "Succeeded"
        assert after["properties"]["ipAddress"] == before["properties"]["ipAddress"]
        assert current_state(after)["startTime"] > current_state(before)["startTime"]

    def test_the_operation_is_polled_with_its_signature(self, azure: Azure) -> None:
        url = azure.put_image("acme/shop:v2").headers["Azure-AsyncOperation"]
        bearer = {"Authorization": "Bearer token"}
        assert all(f"&{name}=" in url for name in "tcsh")
        unsigned = httpx.get(url.partition("&")[0], headers=bearer)
        assert unsigned.json()["error"]["code"] == "AuthorizationFailed"
        seen = until(lambda: httpx.get(url, headers=bearer).json(), lambda body: body["status"] == "Succeeded")
        assert set(seen) == {"id", "status", "startTime", "properties"}

    @pytest.mark.parametrize("status", [200, 201])
    def test_the_typed_poller_follows_it_to_its_end(self, arm: ArmSimulator, azure: Azure, status: int) -> None:
        arm.client.options(put_status=status)
        body = azure.get()
        group = azure.groups.begin_create_or_update(RESOURCE_GROUP, GROUP, json.dumps(body).encode()).result()
        assert isinstance(group, ContainerGroup)
        assert group.provisioning_state == "Succeeded"
        azure.groups.begin_restart(RESOURCE_GROUP, GROUP).result()

    def test_read_only_members_are_ignored_and_recorded(self, arm: ArmSimulator, azure: Azure) -> None:
        azure.put(azure.get())
        sent = arm.client.log()[-1]["read_only_sent"]
        assert {"id", "properties.provisioningState", "properties.ipAddress.fqdn"} <= set(sent)
        assert "properties.containers[0].properties.instanceView" in sent
        assert "instanceView" not in json.dumps(arm.client.group(SUBSCRIPTION, RESOURCE_GROUP, GROUP)["definition"])

    def test_unknown_properties_survive_and_left_out_ones_are_gone(self, azure: Azure) -> None:
        body = azure.get() | {"tags": {"team": "shop"}, "zones": ["1"]}
        body["properties"]["notYetInvented"] = {"a": [1, {"b": None, "c": True}]}
        container(body)["alsoNew"] = "x"
        azure.put(body)
        seen = azure.settled()
        assert seen["properties"]["notYetInvented"] == {"a": [1, {"c": True}]}
        assert (container(seen)["alsoNew"], seen["tags"], seen["zones"]) == ("x", {"team": "shop"}, ["1"])
        del seen["zones"], seen["properties"]["notYetInvented"], seen["properties"]["ipAddress"]
        azure.put(seen)
        seen = azure.settled()
        assert "zones" not in seen
        assert not {"notYetInvented", "ipAddress"} & set(seen["properties"])

    def test_an_unchanged_body_restarts_the_containers_too(self, azure: Azure) -> None:
        before = azure.get()
        azure.put(before)
        after = azure.settled()
        assert current_state(after)["startTime"] > current_state(before)["startTime"]
        assert len(events(after, "Pulled")) == 2
        assert len(events(after, "Killing")) == 1
        assert (
            min(event["lastTimestamp"] for event in events(after, "Pulled"))
            < events(after, "Killing")[0]["lastTimestamp"]
        )

    def test_a_second_update_has_to_wait_for_the_first(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.options(transition_seconds=60)
        body = azure.get()
        azure.put(body)
        waiting = (409, "ContainerGroupTransitioning")
        assert refused(lambda: azure.put(body), ResourceExistsError) == waiting
        assert refused(azure.restart) == waiting
        assert arm.client.stats()["effective_puts"] == 1

    @pytest.mark.parametrize(
        "change",
        [
            lambda body: body["properties"].update(osType="Windows"),
            lambda body: body["properties"].update(restartPolicy="Never"),
            lambda body: body["properties"].update(subnetIds=[{"id": "subnet"}]),
            lambda body: body["properties"].update(networkProfile={"id": "profile"}),
            lambda body: container(body)["resources"]["requests"].update(cpu=2.0),
            lambda body: container(body)["resources"]["requests"].update(memoryInGB=1),
            lambda body: container(body)["resources"]["requests"].update(gpu={"count": 1, "sku": "V100"}),
        ],
    )
    def test_what_needs_a_new_group_is_refused(self, azure: Azure, change: Callable[[Json], None]) -> None:
        body = azure.get()
        change(body)
        assert refused(lambda: azure.put(body)) == (400, "InvalidContainerGroupUpdate")

    @pytest.mark.parametrize("pattern", ["acme/shop:v2", "docker.io/acme/*:v2", "index.docker.io/acme/shop:v2", "*"])
    def test_an_inaccessible_image_is_refused(self, arm: ArmSimulator, azure: Azure, pattern: str) -> None:
        arm.client.image(pattern, "inaccessible")
        assert refused(lambda: azure.put_image("acme/shop:v2")) == (400, "InaccessibleImage")
        assert container(azure.get())["image"] == "acme/shop:v1"

    def test_the_address_may_change_if_told_so(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.options(keep_ip=False)
        before = azure.get()["properties"]["ipAddress"]
        azure.put_image("acme/shop:v2")
        after = azure.settled()["properties"]["ipAddress"]
        assert (after["ip"] != before["ip"], after["fqdn"]) == (True, before["fqdn"])

    def test_tags_are_replaced_as_a_whole_and_by_a_put_unless_switched(self, arm: ArmSimulator, azure: Azure) -> None:
        body = azure.get()
        for tags in ({"a": "1", "b": "2"}, {"b": "3"}):
            azure.groups.update(RESOURCE_GROUP, GROUP, {"tags": tags})
        assert azure.get()["tags"] == {"b": "3"}
        assert container(azure.get())["instanceView"] == container(body)["instanceView"]
        arm.client.options(put_changes_tags=False)
        azure.put(body)
        assert azure.settled()["tags"] == {"b": "3"}
        arm.client.options(put_changes_tags=True)
        azure.put(body)
        assert "tags" not in azure.settled()

    @pytest.mark.parametrize("tags", [{"a/b": "1"}, {"a": "x" * 257}, {str(number): "" for number in range(51)}])
    def test_tags_have_limits(self, azure: Azure, tags: Json) -> None:
        assert refused(lambda: azure.groups.update(RESOURCE_GROUP, GROUP, {"tags": tags}))[0] == 400

    def test_create_and_delete(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.options(transition_seconds=60)
        response = azure.put(definition(), "new")
        assert (response.status_code, azure.get("new")["properties"]["provisioningState"]) == (201, "Pending")
        azure.groups.begin_delete(RESOURCE_GROUP, "new").result()
        assert refused(lambda: azure.get("new"))[1] == "ResourceNotFound"
        gone = azure.groups.begin_delete(RESOURCE_GROUP, "new", polling=False, cls=raw).result()
        assert gone.status_code == 204

    def test_a_failed_operation(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.options(fail_operation="*/shop:v2")
        url = azure.put_image("acme/shop:v2").headers["Azure-AsyncOperation"]
        assert azure.settled()["properties"]["provisioningState"] == "Failed"
        assert "error" in httpx.get(url, headers={"Authorization": "Bearer token"}).json()

    def test_a_stuck_group_stays_in_its_transition_until_it_is_let_go(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.options(stuck=f"{RESOURCE_GROUP}/sh*", transition_seconds=0)
        azure.put_image("acme/shop:v2")
        assert refused(lambda: azure.put_image("acme/shop:v3"))[1] == "ContainerGroupTransitioning"
        assert current_state(azure.get())["state"] == "Waiting"
        arm.client.options(stuck="")
        assert current_state(azure.settled())["state"] == "Running"


class TestSecretsInAnUpdate:
    @pytest.mark.parametrize(
        ("supply", "code"),
        [
            (lambda b: container(b)["environmentVariables"].pop(), None),
            (lambda b: container(b).pop("environmentVariables"), None),
            (lambda b: container(b)["environmentVariables"][1].update(secureValue="v"), None),
            (lambda b: container(b)["environmentVariables"][1].update(secureValueReference="kv"), None),
            (lambda b: None, "InvalidEnvironmentVariable"),
            (lambda b: container(b)["environmentVariables"][0].update(secureValue="v"), "InvalidEnvironmentVariable"),
        ],
    )
    def test_environment_variables(
        self, arm: ArmSimulator, azure: Azure, supply: Callable[[Json], None], code: str | None
    ) -> None:
        body = definition()
        container(body)["environmentVariables"] = [{"name": "A", "value": ""}, {"name": "B", "secureValue": "hush"}]
        self._round_trip(arm, azure, body, supply, code)

    @pytest.mark.parametrize(
        ("supply", "code"),
        [
            ({"imageRegistryCredentials": [{"server": "r", "username": "u"}]}, "InvalidImageRegistryPassword"),
            (
                {"imageRegistryCredentials": [{"server": "r", "username": "u", "password": ""}]},
                "InvalidImageRegistryPassword",
            ),
            ({"imageRegistryCredentials": [{"server": "r", "username": "u", "passwordReference": "kv"}]}, None),
            ({"imageRegistryCredentials": [{"server": "r", "identity": IDENTITY}]}, None),
            ({"volumes": [{"name": "s", "azureFile": {"shareName": "s"}}]}, "InvalidStorageAccountKey"),
            ({"volumes": [{"name": "s", "azureFile": {"shareName": "s", "storageAccountKeyReference": "kv"}}]}, None),
            ({"volumes": [{"name": "s", "secret": {}}]}, None),
            ({"diagnostics": {"logAnalytics": {"workspaceId": "w"}}}, "InvalidLogAnalyticsWorkspaceKey"),
        ],
    )
    def test_blocks(self, arm: ArmSimulator, azure: Azure, supply: Json, code: str | None) -> None:
        self._round_trip(arm, azure, definition(), lambda body: body["properties"].update(supply), code)

    @staticmethod
    def _round_trip(
        arm: ArmSimulator, azure: Azure, body: Json, supply: Callable[[Json], None], code: str | None
    ) -> None:
        place(arm, body)
        shown = azure.get()
        supply(shown)
        if code:
            assert refused(lambda: azure.put(shown)) == (400, code)
        else:
            azure.put(shown)
        assert arm.client.group(SUBSCRIPTION, RESOURCE_GROUP, GROUP)["effective_puts"] == (not code)

    def test_an_emptied_secret_volume_loses_its_files_in_silence(self, arm: ArmSimulator, azure: Azure) -> None:
        place(arm, definition(volumes=[{"name": "files", "secret": {"key.pem": "hush"}}]))
        azure.put(azure.get())
        kept = arm.client.group(SUBSCRIPTION, RESOURCE_GROUP, GROUP)["definition"]
        assert kept["properties"]["volumes"] == [{"name": "files", "secret": {}}]

    def test_identities_are_shown_with_ids_that_are_ignored_in_a_put(self, arm: ArmSimulator, azure: Azure) -> None:
        identity = {"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}
        place(arm, definition() | {"identity": identity})
        shown = azure.get()
        assert shown["identity"]["principalId"]
        assert shown["identity"]["userAssignedIdentities"][IDENTITY]["clientId"]
        azure.put(shown)
        assert f"identity.userAssignedIdentities.{IDENTITY}.clientId" in arm.client.log()[-1]["read_only_sent"]
        assert arm.client.group(SUBSCRIPTION, RESOURCE_GROUP, GROUP)["definition"]["identity"] == identity


@pytest.mark.usefixtures("group")
class TestRestartStopStart:
    def test_a_restart_shows_the_old_containers_for_a_while(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.options(restart_lag_seconds=60)
        before = azure.get()
        response = azure.restart()
        during = azure.get()
        assert (response.status_code, response.text()) == (204, "")
        assert "Azure-AsyncOperation" in response.headers
        assert during["properties"]["provisioningState"] == "Updating"
        assert container(during)["instanceView"] == container(before)["instanceView"]

    def test_a_restart_starts_new_containers_at_the_same_address(self, arm: ArmSimulator, azure: Azure) -> None:
        before = azure.get()
        azure.restart()
        after = azure.settled()
        assert current_state(after)["startTime"] > current_state(before)["startTime"]
        assert after["properties"]["ipAddress"] == before["properties"]["ipAddress"]
        assert arm.client.stats()["restarts"] == 1

    @pytest.mark.parametrize("pulls", [True, False])
    def test_a_restart_may_or_may_not_pull_a_tag_that_moved(self, arm: ArmSimulator, azure: Azure, pulls: bool) -> None:
        arm.client.options(restart_pulls=pulls)
        arm.client.image("acme/shop:v1", digest=DIGEST)
        azure.restart()
        pulled = " ".join(event["message"] for event in events(azure.settled(), "Pulled"))
        assert (DIGEST in pulled) is pulls
        truth = arm.client.group(SUBSCRIPTION, RESOURCE_GROUP, GROUP)
        assert truth["digests"] == {"web": DIGEST if pulls else default_digest("acme/shop:v1")}

    def test_stop_and_start_change_the_address_but_not_the_name(self, azure: Azure) -> None:
        before = azure.get()["properties"]["ipAddress"]
        azure.groups.stop(RESOURCE_GROUP, GROUP)
        stopped = azure.get()
        assert (stopped["properties"]["instanceView"]["state"], current_state(stopped)["state"]) == (
            "Stopped",
            "Terminated",
        )
        assert stopped["properties"]["provisioningState"] == "Succeeded"
        assert refused(azure.restart) == (400, "ContainerGroupStopped")
        azure.groups.begin_start(RESOURCE_GROUP, GROUP).result()
        started = azure.get()
        after = started["properties"]["ipAddress"]
        assert (after["ip"] != before["ip"], after["fqdn"]) == (True, before["fqdn"])
        assert len(events(started, "Started")) == 2

    def test_starting_a_running_group_does_nothing(self, arm: ArmSimulator, azure: Azure) -> None:
        before = azure.get()
        azure.start()
        assert azure.get() == before
        assert arm.client.log()[-2]["status"] == 204

    def test_a_put_deploys_a_stopped_group_as_new(self, arm: ArmSimulator, azure: Azure) -> None:
        place(arm, definition(), state="Stopped")
        before = azure.get()
        azure.put(before)
        after = azure.settled()
        assert after["properties"]["instanceView"]["state"] == "Running"
        assert after["properties"]["ipAddress"]["ip"] != before["properties"]["ipAddress"]["ip"]
        assert len(events(after, "Started")) == 1


class TestImages:
    @pytest.mark.usefixtures("group")
    def test_a_crash_loop_looks_like_success(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.image("acme/shop:v2", "crash-loop")
        azure.put_image("acme/shop:v2")
        azure.settled()
        seen = until(azure.get, lambda body: container(body)["instanceView"]["restartCount"] >= 2)
        assert seen["properties"]["provisioningState"] == "Succeeded"
        assert seen["properties"]["instanceView"]["state"] == "Running"
        seen = until(azure.get, lambda body: current_state(body)["state"] == "Waiting")
        assert current_state(seen)["detailStatus"].startswith("CrashLoopBackOff: Back-off ")
        assert container(seen)["instanceView"]["previousState"]["exitCode"] == 1
        back_off = events(seen, "BackOff")[0]
        assert (back_off["type"], back_off["count"]) == ("Warning", container(seen)["instanceView"]["restartCount"])

    def test_a_late_crash_is_healthy_first(self) -> None:
        passed = 0.0
        with ArmSimulator(clock=lambda: time.time() + passed) as arm:
            azure = Azure(arm.url)
            place(arm, definition())
            arm.client.options(**QUICK)
            arm.client.image("acme/shop:v2", "late-crash", after=3600)
            azure.put_image("acme/shop:v2")
            healthy = azure.settled()
            assert current_state(healthy)["state"] == "Running"
            assert container(healthy)["instanceView"]["restartCount"] == 0
            passed = 3700.0
            assert container(azure.get())["instanceView"]["restartCount"] > 0

    @pytest.mark.usefixtures("group")
    def test_an_image_that_cannot_be_pulled(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.image("acme/shop:v2", "unpullable")
        azure.put_image("acme/shop:v2")
        azure.settled()
        seen = until(azure.get, lambda body: events(body, "Failed")[0]["count"] > 1)
        assert (current_state(seen)["state"], seen["properties"]["instanceView"]["state"]) == ("Waiting", "Pending")
        failed = events(seen, "Failed")[0]
        assert (failed["type"], failed["message"].partition(": rpc error")[0]) == (
            "Warning",
            f'Failed to pull image "acme/shop@{default_digest("acme/shop:v2")}"',
        )
        assert events(seen, "BackOff")[0]["type"] == "Normal"

    @pytest.mark.parametrize(
        ("policy", "behaviour", "state", "container_state", "restarts"),
        [
            ("Never", "exits-0", "Succeeded", "Terminated", False),
            ("Never", "exits-1", "Failed", "Terminated", False),
            ("OnFailure", "exits-0", "Succeeded", "Terminated", False),
            ("OnFailure", "exits-1", "Running", "Waiting", True),
            ("Always", "exits-0", "Running", "Waiting", True),
        ],
    )
    def test_containers_that_end(
        self,
        arm: ArmSimulator,
        azure: Azure,
        policy: str,
        behaviour: str,
        state: str,
        container_state: str,
        restarts: bool,
    ) -> None:
        arm.client.image("acme/shop:v2", behaviour)
        place(arm, definition(restartPolicy=policy))
        azure.put_image("acme/shop:v2")
        azure.settled()
        seen = until(azure.get, lambda body: current_state(body)["state"] == container_state)
        assert seen["properties"]["instanceView"]["state"] == state
        assert (container(seen)["instanceView"]["restartCount"] > 0) is restarts

    @pytest.mark.usefixtures("group")
    def test_a_digest_means_the_image_that_the_tag_had(self, arm: ArmSimulator, azure: Azure) -> None:
        broken = arm.client.image("acme/shop:latest", "crash-loop")
        arm.client.image("acme/shop:latest", "good", digest=DIGEST)
        azure.put_image(f"docker.io/acme/shop@{broken}")
        azure.settled()
        until(azure.get, lambda body: current_state(body)["state"] == "Waiting")
        azure.put_image(f"acme/shop@{DIGEST}")
        assert current_state(azure.settled())["state"] == "Running"

    def test_init_containers_come_to_an_end(self, arm: ArmSimulator, azure: Azure) -> None:
        place(arm, definition(initContainers=[{"name": "init", "properties": {"image": "busybox"}}]))
        init = azure.get()["properties"]["initContainers"][0]["properties"]
        assert init["instanceView"]["currentState"]["state"] == "Terminated"

    def test_a_group_may_be_placed_as_ended(self, arm: ArmSimulator, azure: Azure) -> None:
        place(arm, definition(restartPolicy="Never"), state="Succeeded")
        assert azure.get()["properties"]["instanceView"]["state"] == "Succeeded"

    @pytest.mark.usefixtures("group")
    def test_the_history_names_the_images_that_took_effect(self, arm: ArmSimulator, azure: Azure) -> None:
        azure.put_image("acme/shop:v2")
        history = arm.client.group(SUBSCRIPTION, RESOURCE_GROUP, GROUP)["history"]
        assert [entry["images"]["web"] for entry in history] == ["acme/shop:v1", "acme/shop:v2"]


@pytest.mark.usefixtures("group")
class TestFaults:
    def test_throttling_says_when_to_come_back(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.fault("throttle", retry_after=7, method="GET", times=1)
        assert throttled(azure.get) == ("TooManyRequests", 7)
        azure.get()
        assert [entry["fault"] for entry in arm.client.log()] == ["throttle", None]

    @pytest.mark.parametrize(
        ("fault", "details", "expected"),
        [
            ("conflict", {}, (409, "ContainerGroupTransitioning")),
            ("error", {}, (500, "InternalServerError")),
            ("error", {"status": 503, "code": "ServiceUnavailable"}, (503, "ServiceUnavailable")),
            ("refuse", {}, (403, "AuthorizationFailed")),
            ("refuse", {"status": 409, "code": "RegistryErrorResponse"}, (409, "RegistryErrorResponse")),
        ],
    )
    def test_refusals_have_no_effect(
        self, arm: ArmSimulator, azure: Azure, fault: str, details: Json, expected: tuple[int, str]
    ) -> None:
        arm.client.fault(fault, method="PUT", **details)
        assert refused(lambda: azure.put_image("acme/shop:v2")) == expected
        assert arm.client.stats()["effective_puts"] == 0

    @pytest.mark.parametrize(("fault", "effective"), [("error-after", True), ("reset-after", True), ("reset", False)])
    def test_lost_answers(self, arm: ArmSimulator, azure: Azure, fault: str, effective: bool) -> None:
        arm.client.fault(fault, method="PUT", times=1)
        lost = HttpResponseError if fault == "error-after" else (ServiceRequestError, ServiceResponseError)
        with pytest.raises(lost):
            azure.put_image("acme/shop:v2")
        entry = arm.client.log()[-1]
        assert (entry["fault"], entry["effective"]) == (fault, effective)
        assert entry["status"] == (500 if fault == "error-after" else None)
        assert (container(azure.get())["image"] == "acme/shop:v2") is effective

    def test_a_stalled_request_takes_effect_late(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.fault("stall", method="PUT", seconds=600)
        body = azure.get()
        with pytest.raises(AzureError):
            azure.groups.begin_create_or_update(
                RESOURCE_GROUP, GROUP, json.dumps(body).encode(), polling=False, read_timeout=0.05
            )
        assert arm.client.stats()["effective_puts"] == 0
        arm.client.end_stalls()
        until(lambda: {**arm.client.stats()}, lambda stats: stats["effective_puts"] == 1)

    def test_a_fault_may_mean_some_groups_only(self, arm: ArmSimulator, azure: Azure) -> None:
        place(arm, definition(), "other")
        arm.client.fault("error", group="sh*", method="get")
        arm.client.fault("error", group=f"{RESOURCE_GROUP}/sh*")
        assert refused(azure.get)[0] == 500
        assert azure.get("other")["name"] == "other"
        assert len(list(azure.groups.list())) == 2
        arm.client.clear_faults()
        azure.get()

    def test_dice_fall_the_same_for_the_same_seed(self, arm: ArmSimulator, azure: Azure) -> None:
        def throws() -> list[int | None]:
            arm.client.options(seed=7)
            before = len(arm.client.log())
            for _ in range(12):
                try:
                    azure.get()
                except HttpResponseError:
                    continue
            return [entry["status"] for entry in arm.client.log(before)]

        arm.client.fault("error", rate=0.5)
        first = throws()
        assert first == throws()
        assert set(first) == {200, 500}


class TestLogs:
    """facts: the last lines of a container as it runs now; those of an instance that a PUT took away are gone."""

    def read(self, azure: Azure, container: str = "web", **options: Any) -> Any:
        return azure.client.containers.list_logs(RESOURCE_GROUP, GROUP, container, **options).content

    def test_the_last_lines_of_the_newest_start(self, arm: ArmSimulator, azure: Azure, group: None) -> None:
        assert self.read(azure) == "starting acme/shop:v1\n"
        arm.client.image("acme/shop:v2", output="one\ntwo\nthree\n")
        azure.put_image("acme/shop:v2")
        azure.settled()
        assert self.read(azure) == "one\ntwo\nthree\n"
        assert self.read(azure, tail=2) == "two\nthree\n"
        assert self.read(azure, tail=0) == ""
        started = current_state(azure.get())["startTime"]
        assert self.read(azure, tail=1, timestamps=True) == f"{started} three\n"

    def test_a_crash_loop_has_what_the_start_that_crashed_said(
        self, arm: ArmSimulator, azure: Azure, group: None
    ) -> None:
        arm.client.options(back_off_seconds=60)
        arm.client.image("acme/shop:v2", "crash-loop")
        azure.put_image("acme/shop:v2")
        until(azure.get, lambda body: "CrashLoopBackOff" in current_state(body)["detailStatus"])
        assert self.read(azure) == "starting acme/shop:v2\nfatal: acme/shop:v2 gives up\n"
        azure.settled()
        azure.put_image("acme/shop:v1")
        until(azure.get, lambda body: current_state(body)["state"] == "Running")
        assert self.read(azure) == "starting acme/shop:v1\n"

    def test_one_that_has_ended_for_good_keeps_its_own(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.image("acme/shop:v1", "exits-1")
        place(arm, definition(restartPolicy="Never"))
        assert self.read(azure) == "starting acme/shop:v1\nfatal: acme/shop:v1 gives up\n"

    def test_what_has_not_started_has_none(self, arm: ArmSimulator, azure: Azure, group: None) -> None:
        arm.client.image("acme/shop:v2", "unpullable")
        azure.put_image("acme/shop:v2")
        assert refused(lambda: self.read(azure), ResourceNotFoundError) == (404, "ContainerLogNotAvailable")
        azure.settled()
        assert refused(lambda: self.read(azure), ResourceNotFoundError) == (404, "ContainerLogNotAvailable")
        assert refused(lambda: self.read(azure, "nobody"), ResourceNotFoundError) == (404, "ContainerNotFound")

    def test_not_every_role_may_read_them(self, arm: ArmSimulator, azure: Azure, group: None) -> None:
        arm.client.options(may_read_logs=False)
        with pytest.raises(HttpResponseError, match="containers/logs/read") as error:
            self.read(azure)
        assert error.value.status_code == 403
        azure.get()

    def test_they_count_as_reads_and_may_meet_a_fault_of_their_own(
        self, arm: ArmSimulator, azure: Azure, group: None
    ) -> None:
        arm.client.fault("error", route="logs")
        assert refused(lambda: self.read(azure))[0] == 500
        azure.get()
        assert arm.client.stats()["reads"] == 2
        with pytest.raises(SimulatorRefusedError, match="'output' is a text"):
            arm.client.image("acme/shop:v2", output=7)  # type: ignore[arg-type]

    def test_a_number_of_lines_is_a_number(self, azure: Azure, group: None) -> None:
        assert refused(lambda: self.read(azure, tail=-1)) == (400, "InvalidTail")


class TestLimits:
    def test_each_answer_says_what_is_left(self, arm: ArmSimulator, azure: Azure) -> None:
        place(arm, definition())
        prefix = "x-ms-ratelimit-remaining-subscription"
        headers = azure.put(azure.get()).headers
        assert (headers[f"{prefix}-resource-requests-pt5m"], headers[f"{prefix}-resource-requests-pt1h"]) == (
            "99",
            "299",
        )
        assert int(headers[f"{prefix}-writes"]) < 200
        assert int(azure.groups.get(RESOURCE_GROUP, GROUP, cls=raw).headers[f"{prefix}-reads"]) < 250

    def test_the_quota_of_updates_is_enforced_on_demand(self, arm: ArmSimulator, azure: Azure) -> None:
        place(arm, definition())
        arm.client.options(enforce_rate_limits=True)
        for number in range(100):
            azure.put(definition(), f"new-{number}")
        code, seconds = throttled(lambda: azure.put(definition()))
        assert code == "TooManyRequests"
        assert 0 < seconds <= 300

    def test_reads_and_writes_come_out_of_buckets(self) -> None:
        limits = RateLimits()
        for method, depth, per_second in (("GET", 250, 25), ("POST", 200, 10)):
            for now, allowed in ((1.0, depth), (2.0, per_second)):
                for _ in range(allowed):
                    limits.spend(SUBSCRIPTION, method, now, enforce=True)
                with pytest.raises(ArmError, match="429 SubscriptionRequestsThrottled"):
                    limits.spend(SUBSCRIPTION, method, now, enforce=True)


class TestControl:
    def test_the_log_and_the_counts(self, arm: ArmSimulator, azure: Azure) -> None:
        place(arm, definition())
        body = azure.get()
        azure.put(body)
        entries = arm.client.log(1, bodies=True)
        assert [(entry["n"], entry["method"], entry["effective"]) for entry in entries] == [(2, "PUT", True)]
        assert json.loads(entries[0]["body"]) == body
        assert entries[0]["client_request_id"]
        assert "body" not in arm.client.log()[-1]
        stats = arm.client.stats()
        assert (stats["reads"], stats["writes"], stats["effective_puts"]) == (1, 1, 1)
        assert stats["by_group"][f"{SUBSCRIPTION}/{RESOURCE_GROUP}/{GROUP}"]["writes"] == 1

    def test_reset_forgets_everything(self, arm: ArmSimulator, azure: Azure) -> None:
        place(arm, definition())
        azure.get()
        arm.client.fault("error")
        arm.client.options(page_size=1)
        arm.client.reset()
        assert (arm.client.groups(), arm.client.log(), arm.client.options()["page_size"]) == ([], [], 100)
        assert refused(azure.get)[0] == 404
        assert arm.client.healthy()

    def test_a_given_address_is_kept(self, arm: ArmSimulator, azure: Azure) -> None:
        body = definition()
        body["properties"]["ipAddress"]["ip"] = "1.2.3.4"
        place(arm, body)
        azure.put(azure.get())
        assert azure.settled()["properties"]["ipAddress"]["ip"] == "1.2.3.4"

    @pytest.mark.parametrize(
        ("call", "said"),
        [
            (
                lambda client: client.options(pace=1),
                "unknown option 'pace'; the options are address_in_transition, back_off_seconds, ",
            ),
            (lambda client: client.options(keep_ip=1), "keep_ip takes a bool"),
            (lambda client: client.options(put_status=204), "outside 200 to 201"),
            (lambda client: client.options(pull_seconds=-1), "can't be negative"),
            (lambda client: client.image("a", "sulks"), "unknown behaviour 'sulks'"),
            (lambda client: client.image("a", digest="md5:1"), "sha256:"),
            (lambda client: client.fault("gremlin"), "unknown fault 'gremlin'"),
            (lambda client: client.group("s", "r", "g"), "ResourceGroupNotFound"),
            (lambda client: client.put_group("s", "r", "g", {"properties": {}}), "properties.containers"),
            (lambda client: client.put_group("s", "r", "g", definition(), state="Odd"), "unknown state 'Odd'"),
        ],
    )
    def test_nonsense_is_named(self, arm: ArmSimulator, call: Callable[[Any], object], said: str) -> None:
        with pytest.raises(SimulatorRefusedError, match=said):
            call(arm.client)

    def test_many_groups_and_many_threads(self, arm: ArmSimulator, azure: Azure) -> None:
        body = definition()
        names = [f"group-{number}" for number in range(40)]
        for name in names:
            place(arm, deepcopy(body), name)
        with ThreadPoolExecutor(8) as pool:
            responses = list(pool.map(lambda name: azure.put(azure.get(name), name), names * 2))
        assert len(responses) == 80
        assert (
            arm.client.stats()["effective_puts"] == sum(group["effective_puts"] for group in arm.client.groups()) == 80
        )


def test_the_process_announces_itself_and_ends_cleanly() -> None:
    command = [sys.executable, "-m", "tests.arm_simulator", "--port", "0", "--demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said, _, url = process.stdout.readline().strip().rpartition(" ")
            assert said == "arm-simulator listening on"
            groups = httpx.get(f"{url}/_simulator/groups").json()["groups"]
            assert [(group["resource_group"], group["name"], group["state"]) for group in groups] == [
                ("demo", "shop", "Running")
            ]
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
