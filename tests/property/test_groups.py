"""Whatever an answer of Azure's holds, a look at the group goes on: its views are read, and never raise."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import at
from worker.groups.group import ContainerGroup
from worker.groups.health import Broken, Healthy, Pending
from worker.groups.ownership import not_ours

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
TIMES = SCALARS | st.sampled_from(["2026-01-01T12:00:05Z", "2026-01-01T12:00:05.1234567Z", "0001-01-01T00:00:00Z"])
EVENTS = st.dictionaries(
    st.sampled_from(["name", "message", "type", "count", "firstTimestamp", "lastTimestamp"]),
    ANYTHING
    | TIMES
    | st.sampled_from(["Failed", "Pulled", "Pulling", "Warning", 'Failed to pull image "a@sha256:1"', "pull"]),
)
STATES = st.dictionaries(
    st.sampled_from(["state", "startTime", "finishTime", "exitCode", "detailStatus"]),
    ANYTHING | TIMES | st.sampled_from(["Running", "Waiting", "Terminated", "CrashLoopBackOff", 0, 1, 7147]),
)
VIEWS = ANYTHING | st.fixed_dictionaries(
    {},
    optional={
        "currentState": ANYTHING | STATES,
        "previousState": ANYTHING | STATES,
        "events": ANYTHING | st.lists(ANYTHING | EVENTS, max_size=4),
    },
)


@given(web=VIEWS, init=VIEWS, of_group=VIEWS, policy=st.sampled_from(["Always", "OnFailure", "Never", None]))
def test_any_view_can_be_read(web: Any, init: Any, of_group: Any, policy: str | None) -> None:
    group = ContainerGroup(
        {
            "properties": {
                "containers": [{"name": "web", "properties": {"image": "acme/shop:1", "instanceView": web}}],
                "initContainers": [{"name": "init", "properties": {"image": "a:1", "instanceView": init}}],
                "instanceView": of_group,
                "restartPolicy": policy,
            }
        }
    )
    for seen in (group, group.redacted(str.upper)):
        assert isinstance(seen.health("web", at(0)), Healthy | Pending | Broken)
        assert len(seen.warnings()) <= 5
        assert seen.says_something in {True, False}
        assert seen.stopped in {True, False}
        seen.running_digest("web", at(0))
    assert ContainerGroup({**group.raw}).definition({}, {}) == group.redacted(str.upper).definition({}, {})


@given(policy=st.binary(max_size=60) | st.text(max_size=60), tags=st.dictionaries(st.text(max_size=9), st.text()))
def test_any_policy_of_a_confidential_group_can_be_read(policy: str | bytes, tags: dict[str, str]) -> None:
    text = policy if isinstance(policy, str) else policy.decode("latin-1")
    group = {"tags": tags, "properties": {"confidentialComputeProperties": {"ccePolicy": text}}}
    assert (not_ours(group) is None) is (text == "")
