"""The resource tags of a container group: its policies, and whether its updates are held. Pure.

| tag | says |
|---|---|
| `aci-hooks.policy` | the policy of every container without one of its own |
| `aci-hooks.policy.<container>` | the policy of one container |
| `aci-hooks.hold` | no updates, for the reason that is its value |
| `aci-hooks.fleet` | `<name>/<wave>`: its fleet and wave, once there are fleets; nothing acts on it yet |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from shared.message import TargetId
from worker.policies.parse import InvalidPolicy, Policy, parse_policy
from worker.targets.target import ContainerRule, Target

PREFIX = "aci-hooks."
POLICY_TAG = "aci-hooks.policy"
HOLD_TAG = "aci-hooks.hold"
FLEET_TAG = "aci-hooks.fleet"
_OF_ONE_CONTAINER = f"{POLICY_TAG}."


@dataclass(frozen=True, slots=True)
class BadTags:
    """A group's resource tags are invalid: it is left alone until they are corrected. One sentence for each tag."""

    id: TargetId
    problems: tuple[str, ...]


def target_from_tags(
    target_id: TargetId, tags: Mapping[str, str] | None
) -> Target | BadTags | None:
    """The target that a group's resource tags define; None if they don't mention policies.

    One invalid tag holds the whole group. Ignoring it would be a guess: a container whose own tag is misspelt
    would get the policy of all other containers.
    """
    everything: Policy | None = None
    rules: dict[str, ContainerRule] = {}
    problems = unknown_tags(tags)
    # Sorted, so that the problems are told in the same order by every worker: ARM gives tags in any.
    for name, value in sorted(_in_lower_case(tags).items()):
        if not _is_policy_tag(name):
            continue
        try:
            policy = parse_policy(value)
        except InvalidPolicy as error:
            problems.append(f"the tag {name}: {error}")
            continue
        if name == POLICY_TAG:
            everything = policy
        else:
            rules[name.removeprefix(_OF_ONE_CONTAINER)] = ContainerRule(policy)
    if problems:
        return BadTags(target_id, tuple(problems))
    if everything is None and not rules:
        return None
    return Target(target_id, rules, everything, source="tags")


def unknown_tags(tags: Mapping[str, str] | None) -> list[str]:
    """A sentence for each resource tag that looks like one of aci-hooks but has no meaning.

    These mistakes must not be ignored: a misspelt hold was meant to stop the updates.
    """
    ours = [name for name in sorted(_in_lower_case(tags)) if name.startswith(PREFIX)]
    return [
        _explain(name)
        for name in ours
        if name not in {HOLD_TAG, FLEET_TAG} and not _is_policy_tag(name)
    ]


def tags_for_later(tags: Mapping[str, str] | None) -> list[str]:
    """A sentence for each resource tag that has its meaning already and that nothing acts on yet."""
    if FLEET_TAG not in _in_lower_case(tags):
        return []
    return [
        f"the tag {FLEET_TAG} has no effect yet: the group is updated without regard to a fleet"
    ]


def hold_reason(tags: Mapping[str, str] | None) -> str | None:
    """Why a group's resource tags hold its updates; None if they don't. The tag holds whatever its value is."""
    # Whatever its value is, also `false` or nothing: who sets this tag in a hurry must not have to know what to write.
    value = _in_lower_case(tags).get(HOLD_TAG)
    if value is None:
        return None
    return value.strip() or f"the resource tag {HOLD_TAG}"


def _explain(unknown: str) -> str:
    # The names are compared without the prefix, which all of them share and which would make every tag look alike.
    bare = unknown.removeprefix(PREFIX)
    near = get_close_matches(bare, ("policy", "hold", "fleet"), 1)
    if near:
        hint = f"did you mean {PREFIX}{near[0]}?"
    else:
        hint = f"known are {POLICY_TAG}, {POLICY_TAG}.<container> and {HOLD_TAG}"
    return f"the tag {unknown} is unknown; {hint}"


def _is_policy_tag(name: str) -> bool:
    names_a_container = name.startswith(_OF_ONE_CONTAINER) and name != _OF_ONE_CONTAINER
    return name == POLICY_TAG or names_a_container


def _in_lower_case(tags: Mapping[str, str] | None) -> Mapping[str, str]:
    """The tags, their names in lower case; their values as they are.

    ARM compares the names of tags without regard to case, and containers' names are lower-case.
    https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources#limitations
    """
    return {name.lower(): value for name, value in (tags or {}).items()}
