"""Groups that are not ours to change, by what ARM shows of them."""

from __future__ import annotations

import base64

import pytest

from tests.unit.builders import RULES, Json, at, candidate, container, good, group, message, record
from worker.core.reconcile import reconcile
from worker.core.rules import Put, Rest, Wait
from worker.groups.group import ContainerGroup
from worker.groups.ownership import not_ours
from worker.record.values import Undone

DEFAULT_POLICY = """package policy

api_version := "0.10.0"

mount_device := {"allowed": true}
mount_overlay := {"allowed": true}
create_container := {"allowed": true, "env_list": null, "allow_stdio_access": true}
exec_in_container := {"allowed": true, "env_list": null}
"""
LAYERS = """package policy
api_svn := "0.10.0"
containers := [{"command": ["/serve"], "layers": ["0f5d…"], "mounts": []}]
mount_device := data.framework.mount_device
create_container := data.framework.create_container
"""
KUBE_PROXY: Json = {"name": "kube-proxy", "properties": {"extensionType": "kube-proxy", "version": "1.0"}}
METRICS: Json = {"name": "metrics", "properties": {"extensionType": "realtime-metrics"}}


def confidential(rego: str | bytes) -> Json:
    policy = base64.b64encode(rego.encode() if isinstance(rego, str) else rego).decode()
    return {"sku": "Confidential", "confidentialComputeProperties": {"ccePolicy": policy}}


@pytest.mark.parametrize(
    ("properties", "tags", "words"),
    [
        ({"containerGroupProfile": {"id": "p", "revision": 1}}, {}, "profile standby pool"),
        ({"isCreatedFromStandbyPool": True}, {}, "profile standby pool"),
        ({"orchestratorId": "/subscriptions/s/…/ngroups/n"}, {}, "NGroup orchestratorId"),
        ({"extensions": [METRICS, KUBE_PROXY]}, {"NodeName": "n"}, "Kubelet virtual node kube-proxy NodeName"),
        ({"extensions": [{"name": "kube-proxy"}]}, {"team": "a", "nodename": ""}, "Kubelet"),
        ({"extensions": [KUBE_PROXY | {"name": "proxy"}]}, {"NodeName": "n"}, "Kubelet"),
        (confidential(LAYERS), {}, "confidential ccePolicy layers"),
        (confidential(DEFAULT_POLICY + 'fragments := [{"issuer": "did:x509"}]'), {}, "confidential"),
        (confidential("package policy"), {}, "confidential"),
        (confidential(b"\xff\xfe"), {}, "confidential"),
        ({"confidentialComputeProperties": {"ccePolicy": "no base64!"}}, {}, "confidential"),
        ({"confidentialComputeProperties": {"ccePolicy": ["no text"]}}, {}, "confidential"),
        # Read leniently, it would be the policy that lists nothing.
        (
            {"confidentialComputeProperties": {"ccePolicy": f"!{base64.b64encode(DEFAULT_POLICY.encode()).decode()}"}},
            {},
            "confidential",
        ),
    ],
)
def test_what_is_not_ours_says_why(properties: Json, tags: dict[str, str], words: str) -> None:
    why = not_ours({"tags": tags, "properties": properties})
    assert why is not None
    assert why.startswith("the group ")
    assert [word for word in words.split() if word not in why] == []


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"properties": None},
        {"tags": None, "properties": {"isCreatedFromStandbyPool": False, "containerGroupProfile": None}},
        {"tags": {"NodeName": "n"}, "properties": {"extensions": [METRICS]}},
        {"tags": {"NodeName": "n"}, "properties": {"extensions": None}},
        {"tags": {"team": "n"}, "properties": {"extensions": [KUBE_PROXY]}},
        {"properties": confidential(DEFAULT_POLICY)},
        {"properties": confidential(DEFAULT_POLICY + "containers := []")},
        {
            "properties": {
                "confidentialComputeProperties": {"ccePolicy": base64.encodebytes(DEFAULT_POLICY.encode()).decode()}
            }
        },
        {"properties": {"sku": "Confidential", "confidentialComputeProperties": {}}},
        {"properties": {"confidentialComputeProperties": None}},
    ],
)
def test_what_is_ours(raw: Json) -> None:
    assert not_ours(raw) is None


class TestReconciled:
    def shown(self, image: str) -> ContainerGroup:
        return group({"web": image}, isCreatedFromStandbyPool=True)

    def test_a_push_ends_with_the_reason_and_nothing_is_sent(self) -> None:
        wanted = record({"web": container(candidate(message("2")))})
        result, action = reconcile(wanted, self.shown("acme/shop:1"), RULES, at(7))
        assert isinstance(action, Rest)
        (ending,) = result.outbox
        assert (ending.result, ending.code) == ("failed", "NotOurs")
        assert "standby pool" in ending.detail
        (failure,) = result.containers["web"].failures
        assert failure.circumstance  # it says nothing of the image

    def test_it_stands_in_the_way_before_missing_secrets_do(self) -> None:
        wanted = record({"web": container(candidate(message("2")))})
        login: list[Json] = [{"server": "r.io", "username": "u"}]
        shown = ContainerGroup(
            {"properties": dict(self.shown("acme/shop:1").raw["properties"], imageRegistryCredentials=login)}
        )
        result, _ = reconcile(wanted, shown, RULES, at(7))
        assert [ending.code for ending in result.outbox] == ["NotOurs"]

    def test_a_way_back_waits_for_the_groups_owner(self) -> None:
        undone = Undone(message=message("2"), code="CrashLoop", detail="it crashes", containers=("web",))
        left = record({"web": container(goods=(good(),), past=("acme/shop:2",))}, undone=(undone,))
        result, action = reconcile(left, self.shown("acme/shop:2"), RULES, at(7))
        assert isinstance(action, Wait)
        assert action.owner
        assert "not rolled back" in result.outbox[0].detail

    def test_what_runs_as_it_should_is_left_alone(self) -> None:
        result, action = reconcile(record({"web": container()}), self.shown("acme/shop:1"), RULES, at(7))
        assert (isinstance(action, Rest), isinstance(action, Put), result.outbox) == (True, False, ())
