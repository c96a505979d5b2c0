"""What is to be kept up to date, and which targets a push concerns. Pure: images and tags come in as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Literal

from shared.image import ImageReference, InvalidImage
from shared.message import TargetId
from worker.policies.parse import AnyTag, InvalidPolicy, Policy, parse_policy

PREFIX = "aci-hooks."
POLICY_TAG = "aci-hooks.policy"
HOLD_TAG = "aci-hooks.hold"


@dataclass(frozen=True, slots=True)
class ContainerRule:
    """How one container is kept up to date; `image` names the repository to follow instead of the running one's."""

    policy: Policy
    image: ImageReference | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One container group to keep up to date.

    `containers` are the rules by container, `everything` the policy of those without a rule (None: left alone),
    `secrets` where to find what ARM withholds: path (`env/web/PASSWORD`) → source (`env:…`, `file:…`, `keyvault:…`).
    """

    id: TargetId
    containers: Mapping[str, ContainerRule] = field(default_factory=dict, hash=False)
    everything: Policy | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, hash=False)
    source: Literal["file", "tags", "environment"] = "file"

    def rule_for(self, container: str) -> ContainerRule | None:
        """The rule of a container, or None if it is to be left alone."""
        default = None if self.everything is None else ContainerRule(self.everything)
        return self.containers.get(container, default)


@dataclass(frozen=True, slots=True)
class BadTags:
    """A group whose resource tags are no policies: it is left alone until they are. One sentence a tag."""

    id: TargetId
    problems: tuple[str, ...]


def single_target(target_id: TargetId) -> Target:
    """The target of a deployment without a targets file: every container follows every tag."""
    return Target(target_id, everything=AnyTag(), source="environment")


def find_targets(
    push_name: str, targets: Iterable[Target], groups: Mapping[TargetId, Mapping[str, str]]
) -> tuple[Target, ...]:
    """The targets that a push of the repository `push_name` (an ImageReference.name) may concern.

    `groups` holds, for the groups that are known, each container's image as written. Of a group that is not known
    the rules that name their image decide; a rule that names none may be concerned, and its rollout will see.
    """
    return tuple(target for target in targets if _concerns(target, push_name, groups.get(target.id)))


def _concerns(target: Target, push_name: str, images: Mapping[str, str] | None) -> bool:
    rules = target.containers.values()
    if any(rule.image and rule.image.name == push_name for rule in rules):
        return True
    if images is None:
        return target.everything is not None or any(rule.image is None for rule in rules)
    return any(
        rule is not None and rule.image is None and _name(image) == push_name
        for rule, image in ((target.rule_for(container), image) for container, image in images.items())
    )


@lru_cache(maxsize=8192)
def _name(image: str) -> str | None:
    try:
        return ImageReference.parse(image).name
    except InvalidImage:
        return None


def target_from_tags(target_id: TargetId, tags: Mapping[str, str] | None) -> Target | BadTags | None:
    """Read a group's resource tags `aci-hooks.policy` and `aci-hooks.policy.<container>`; None if it has neither.

    One bad tag holds the whole group back: its container would fall under the policy of the others.
    """
    policies: dict[str, Policy] = {}
    problems = unknown_tags(tags)
    for name, value in sorted(_by_name(tags).items()):
        if not _is_policy_tag(name):
            continue
        try:
            policies[name.removeprefix(POLICY_TAG)] = parse_policy(value)
        except InvalidPolicy as error:
            problems.append(f"the tag {name}: {error}")
    if problems:
        return BadTags(target_id, tuple(problems))
    if not policies:
        return None
    everything = policies.pop("", None)
    rules = {name.removeprefix("."): ContainerRule(policy) for name, policy in policies.items()}
    return Target(target_id, rules, everything, source="tags")


def unknown_tags(tags: Mapping[str, str] | None) -> list[str]:
    """A sentence for each resource tag that looks like one of ours and means nothing: a hold may have been meant."""
    ours = (name for name in sorted(_by_name(tags)) if name.startswith(PREFIX))
    return [_meant(name) for name in ours if name != HOLD_TAG and not _is_policy_tag(name)]


def _meant(name: str) -> str:
    near = get_close_matches(name.removeprefix(PREFIX), ("policy", "hold"), 1)
    known = f"there are {POLICY_TAG}, {POLICY_TAG}.<container> and {HOLD_TAG}"
    return f"the tag {name} means nothing; {f'did you mean {PREFIX}{near[0]}?' if near else known}"


def _is_policy_tag(name: str) -> bool:
    container = name.removeprefix(f"{POLICY_TAG}.")
    return name == POLICY_TAG or (container != name and container != "")


def hold_reason(tags: Mapping[str, str] | None) -> str | None:
    """Why a group's resource tags hold its updates back; None if they don't. The tag holds whatever its value is."""
    value = _by_name(tags).get(HOLD_TAG)
    return None if value is None else value.strip() or f"the resource tag {HOLD_TAG}"


def _by_name(tags: Mapping[str, str] | None) -> Mapping[str, str]:
    # ARM compares the names of tags without regard to case, and containers' names are lower-case.
    # https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources#limitations
    return {name.lower(): value for name, value in (tags or {}).items()}


def merge(from_file: Iterable[Target], discovered: Iterable[Target]) -> tuple[Target, ...]:
    """All targets, once each: where both speak of a group, the file's word counts."""
    by_id = {target.id: target for target in discovered}
    by_id |= {target.id: target for target in from_file}
    return tuple(by_id.values())
