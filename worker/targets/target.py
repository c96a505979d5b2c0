"""What is kept up to date, and which targets a push concerns. Pure: images are passed in as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from shared.image import ImageReference, InvalidImage
from shared.message import TargetId
from worker.policies.parse import AnyTag, Policy


@dataclass(frozen=True, slots=True)
class ContainerRule:
    """How one container is kept up to date; `image` names a repository to follow instead of the running image's."""

    policy: Policy
    image: ImageReference | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One container group to keep up to date.

    `containers` are the rules by container, `everything` the policy of those without a rule (None: left alone),
    `secrets` where to find what ARM withholds: path (`env/web/PASSWORD`) → source (`env:…`, `file:…`, …).
    """

    id: TargetId
    containers: Mapping[str, ContainerRule] = field(default_factory=dict, hash=False)
    everything: Policy | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, hash=False)
    source: Literal["file", "tags", "environment"] = "file"

    def rule_for(self, container: str) -> ContainerRule | None:
        """The rule of a container, or None if it is left alone."""
        default = None if self.everything is None else ContainerRule(self.everything)
        return self.containers.get(container, default)


def single_target(target_id: TargetId) -> Target:
    """The target for a deployment without a targets file: every container follows every tag."""
    return Target(target_id, everything=AnyTag(), source="environment")


def find_targets(
    push_name: str,
    targets: Iterable[Target],
    groups: Mapping[TargetId, Mapping[str, str]],
) -> tuple[Target, ...]:
    """The targets that a push of the repository `push_name` (an ImageReference.name) may concern.

    `groups` holds, for the groups that are known, each container's image as written. A target whose group is not known
    counts as concerned if one of its rules names that repository, or none: its rollout finds out.
    """
    return tuple(
        target
        for target in targets
        if _concerns(target, push_name, groups.get(target.id))
    )


def _concerns(target: Target, push_name: str, images: Mapping[str, str] | None) -> bool:
    rules = target.containers.values()
    # A rule that names another repository counts before anything runs it: a push may be what brings it there.
    is_named = any(
        rule.image is not None and rule.image.name == push_name for rule in rules
    )
    if is_named:
        return True
    if images is None:
        # What it runs is not known, so any repository may be followed by a rule that names none.
        names_all = all(rule.image is not None for rule in rules)
        return target.everything is not None or not names_all
    return any(
        _follows(target, container, image, push_name)
        for container, image in images.items()
    )


def _follows(target: Target, container: str, image: str, push_name: str) -> bool:
    """Whether a container follows the repository `push_name` because its running image is from it."""
    rule = target.rule_for(container)
    return rule is not None and rule.image is None and _name(image) == push_name


# Every push asks for the names of all running images again, so parsing them is cached.
@lru_cache(maxsize=8192)
def _name(image: str) -> str | None:
    try:
        return ImageReference.parse(image).name
    except InvalidImage:
        return None


def merge(
    from_file: Iterable[Target], discovered: Iterable[Target]
) -> tuple[Target, ...]:
    """All targets, each once: if both define a group, the file wins."""
    # The file's target counts as a whole, and the group's tags not at all: only the file can name secrets.
    by_id = {target.id: target for target in discovered}
    by_id |= {target.id: target for target in from_file}
    return tuple(by_id.values())
