"""The ARM simulator tells what recordings and public reports of Azure tell: digests, repairs, refusals, details."""

from __future__ import annotations

import json
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from tests.arm_simulator import ArmSimulator
from tests.arm_simulator.images import default_digest
from tests.contract.test_arm_simulator import (
    RESOURCE_GROUP,
    SUBSCRIPTION,
    Azure,
    arm,
    azure,
    container,
    current_state,
    definition,
    events,
    group,
    place,
    refused,
    until,
)

__all__ = ["arm", "azure", "group"]  # the fixtures

Json = dict[str, Any]
INDEX, PLATFORM = f"sha256:{'1d' * 32}", f"sha256:{'ab' * 32}"


class TestDigests:
    @pytest.mark.usefixtures("group")
    @pytest.mark.parametrize("image", ["acme/shop:v2", f"acme/shop@{INDEX}", f"acme/shop@{PLATFORM}"])
    def test_events_name_the_platforms_manifest_and_never_the_index(
        self, arm: ArmSimulator, azure: Azure, image: str
    ) -> None:
        assert arm.client.image("acme/shop:v2", digest=PLATFORM, index=INDEX) == INDEX
        azure.put_image(image)
        body = azure.settled()
        assert any(PLATFORM in event["message"] for event in events(body, "Pulled"))
        assert INDEX not in json.dumps(events(body, "Pulled") + events(body, "Pulling"))
        assert arm.client.group(SUBSCRIPTION, RESOURCE_GROUP, "shop")["digests"]["web"] == PLATFORM

    def test_an_index_without_a_digest_has_a_platform_all_the_same(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.image("acme/shop:v1", index=INDEX)
        place(arm, definition())
        (pulled,) = events(azure.get(), "Pulled")
        assert default_digest(f"{INDEX} linux/amd64") in pulled["message"]

    @pytest.mark.usefixtures("group")
    @pytest.mark.parametrize(
        ("by_digest", "named"),
        [(True, f"acme/shop@{default_digest('acme/shop:v2')}"), (False, "acme/shop:v2")],
    )
    def test_a_failed_pull_names_a_digest_or_the_image(
        self, arm: ArmSimulator, azure: Azure, by_digest: bool, named: str
    ) -> None:
        arm.client.options(digests_in_failures=by_digest)
        arm.client.image("acme/shop:v2", "unpullable")
        azure.put_image("acme/shop:v2")
        failed = events(until(azure.get, lambda body: bool(events(body, "Failed"))), "Failed")[0]
        assert failed["message"].startswith(f'Failed to pull image "{named}": rpc error: code = NotFound')


@pytest.mark.usefixtures("group")
class TestTrouble:
    def test_a_pull_over_the_limit_of_a_registry(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.image("acme/shop:v2", "over-limit")
        azure.put_image("acme/shop:v2")
        failed = events(until(azure.get, lambda body: bool(events(body, "Failed"))), "Failed")[0]
        assert "toomanyrequests" in failed["message"]

    def test_what_can_not_be_started(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.image("acme/shop:v2", "unstartable")
        azure.put_image("acme/shop:v2")
        azure.settled()
        body = until(azure.get, lambda body: events(body, "Failed")[0]["count"] > 1)
        assert events(body, "Failed")[0]["message"].startswith("Error: Failed to start container web")
        assert (current_state(body)["state"], current_state(body)["detailStatus"]) == ("Waiting", "")
        assert not [
            event
            for event in events(body, "Started")
            if event["firstTimestamp"] > events(body, "Failed")[0]["firstTimestamp"]
        ]

    @pytest.mark.parametrize(
        ("behaviour", "policy", "state", "detail"),
        [
            ("exits-1", "Always", "Waiting", "CrashLoopBackOff"),
            ("exits-1", "OnFailure", "Waiting", "CrashLoopBackOff"),
            ("exits-1", "Never", "Terminated", "Error"),
            ("unpullable", "Always", "Waiting", "ImagePullBackOff"),
            ("unstartable", "Always", "Waiting", ""),
        ],
    )
    def test_an_init_container_that_fails_keeps_the_others_waiting(
        self, arm: ArmSimulator, azure: Azure, behaviour: str, policy: str, state: str, detail: str
    ) -> None:
        arm.client.image("acme/init:1", behaviour)
        init = {"name": "init", "properties": {"image": "acme/init:1"}}
        place(arm, definition(initContainers=[init], restartPolicy=policy))
        azure.put_image("acme/shop:v2")
        body = azure.settled()
        shown = body["properties"]["initContainers"][0]["properties"]["instanceView"]["currentState"]
        assert shown["state"] == state
        assert shown["detailStatus"].startswith(detail)
        assert current_state(body)["state"] == "Waiting"
        assert body["properties"]["instanceView"]["state"] == "Pending"

    def test_a_hiccup_of_the_platform_beside_a_container_that_runs(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.image("acme/shop:v2", "hiccup")
        azure.put_image("acme/shop:v2")
        body = azure.settled()
        (failed,) = events(body, "Failed")
        assert (current_state(body)["state"], failed["count"]) == ("Running", 20)
        assert failed["lastTimestamp"] > current_state(body)["startTime"]

    def test_a_node_that_goes_down(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.options(transition_seconds=0.6)
        started = current_state(azure.get())["startTime"]
        arm.client.act("repair", SUBSCRIPTION, RESOURCE_GROUP, "shop")
        seen = []

        def look() -> Json:
            body = azure.get()
            seen.append((body["properties"]["provisioningState"], current_state(body)["state"]))
            return body

        body = until(look, lambda body: body["properties"]["provisioningState"] == "Succeeded")
        assert seen[0] == ("Unhealthy", "Running")
        assert ("Repairing", "Waiting") in seen
        assert current_state(body)["startTime"] > started
        (killed,) = events(body, "Killing")
        assert "(platform initiated)" in killed["message"]

    @pytest.mark.parametrize(("shown", "ip"), [("missing", None), ("0.0.0.0", "0.0.0.0")])
    def test_an_address_that_is_not_there_for_a_while(
        self, arm: ArmSimulator, azure: Azure, shown: str, ip: str | None
    ) -> None:
        before = azure.get()["properties"]["ipAddress"]["ip"]
        arm.client.options(address_in_transition=shown, stuck="shop")
        azure.put_image("acme/shop:v2")
        assert azure.get()["properties"]["ipAddress"].get("ip") == ip
        arm.client.options(stuck="")
        assert azure.settled()["properties"]["ipAddress"]["ip"] == before

    def test_codes_in_the_details_alone(self, arm: ArmSimulator, azure: Azure) -> None:
        arm.client.fault("refuse", status=400, code="MultipleErrorsOccurred", details="RegistryErrorResponse,A/B")
        with pytest.raises(HttpResponseError) as caught:
            azure.get()
        assert caught.value.error is not None
        registry, wrapper = caught.value.error.details
        assert (registry.code, registry.details) == ("RegistryErrorResponse", [])
        assert (wrapper.code, [detail.code for detail in wrapper.details]) == ("A", ["B"])


class TestProperties:
    def test_what_azure_adds_may_be_sent_back_or_left_out(self, arm: ArmSimulator, azure: Azure) -> None:
        login = {"server": "r.io", "identity": "/ids/one"}
        place(arm, definition(imageRegistryCredentials=[login]))
        body = azure.get()
        properties = body["properties"]
        assert properties["provisioningTimeoutInSeconds"] == 1800
        assert properties["isCustomProvisioningTimeout"] is False
        assert properties["imageRegistryCredentials"] == [{**login, "isDelegatedIdentity": False}]
        assert properties["ipAddress"]["autoGeneratedDomainNameLabelScope"] == "Unsecure"
        assert container(body)["configMap"] == {"keyValuePairs": {}}
        azure.put(body)
        assert {
            "properties.provisioningTimeoutInSeconds",
            "properties.isCustomProvisioningTimeout",
            "properties.imageRegistryCredentials[0].isDelegatedIdentity",
        } <= set(arm.client.log()[-1]["read_only_sent"])

    def test_protected_settings_are_withheld(self, arm: ArmSimulator, azure: Azure) -> None:
        extension = {"extensionType": "kube-proxy", "protectedSettings": {"kubeConfig": "hush"}}
        place(arm, definition(extensions=[{"name": "kube-proxy", "properties": extension}]))
        assert azure.get()["properties"]["extensions"] == [
            {"name": "kube-proxy", "properties": {"extensionType": "kube-proxy"}}
        ]

    def test_a_share_that_is_mounted_by_identity_needs_no_key(self, arm: ArmSimulator, azure: Azure) -> None:
        share = {"shareName": "s", "storageAccountName": "a", "userManagedIdentityClientId": "id"}
        place(arm, definition(volumes=[{"name": "data", "azureFile": share}]))
        azure.put_image("acme/shop:v2")
        assert azure.settled()["properties"]["volumes"][0]["azureFile"] == share

    @pytest.mark.parametrize(
        "made", [{"isCreatedFromStandbyPool": True}, {"containerGroupProfile": {"id": "/profiles/p", "revision": 1}}]
    )
    def test_what_was_made_from_a_pool_or_profile_takes_no_update(
        self, arm: ArmSimulator, azure: Azure, made: Json
    ) -> None:
        place(arm, definition(**made))
        shown = azure.get()["properties"]
        assert {name: shown[name] for name in made} == made
        assert refused(lambda: azure.put_image("acme/shop:v2")) == (400, "InvalidRequestContent")

    def test_the_member_of_an_ngroup_says_so(self, arm: ArmSimulator, azure: Azure) -> None:
        place(arm, definition(orchestratorId="/ngroups/n"))
        assert azure.get()["properties"]["orchestratorId"] == "/ngroups/n"
