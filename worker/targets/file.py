"""The targets file: parsed and validated as a whole. All mistakes are reported at once, with lines and suggestions.

`python -m worker.targets.file` prints the JSON Schema that is shipped as worker/targets.schema.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from shared.image import ImageReference
from shared.message import TargetId
from worker.targets.document import Mistake, TargetsError, read_yaml
from worker.targets.duplicates import report_duplicates
from worker.targets.json_schema import json_schema
from worker.targets.mistakes import validate
from worker.targets.model import (
    DiscoverModel,
    RegistryModel,
    RuleModel,
    TargetModel,
    TargetsModel,
)
from worker.targets.notify_model import build_recipient
from worker.targets.policy_model import build_policy
from worker.targets.recipients import Recipient
from worker.targets.registries import RegistryEntry
from worker.targets.target import ContainerRule, Target

__all__ = [
    "Discover",
    "Mistake",
    "TargetsError",
    "TargetsFile",
    "json_schema",
    "parse_targets",
]


@dataclass(frozen=True, slots=True)
class Discover:
    """Where to look for groups with policies in resource tags; `resource_groups` None: everywhere."""

    subscriptions: tuple[str, ...]
    resource_groups: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class TargetsFile:
    """The content of a valid targets file. `registries` is keyed by host or host/path."""

    targets: tuple[Target, ...]
    discover: Discover | None
    registries: Mapping[str, RegistryEntry]
    notify: tuple[Recipient, ...]


def parse_targets(
    text: str, default_subscription: str | None, name: str = "targets.yaml"
) -> TargetsFile:
    """Read a targets file's text; raises TargetsError with every problem in it. `name` is for the messages."""
    document = read_yaml(text)
    # Not YAML: without data the model would only add that everything is missing.
    if document.data is None and document.problems:
        raise TargetsError(name, document.problems)
    # Everything is checked before anything is raised: who corrects a file wants to see all mistakes at once.
    model = validate(document, default_subscription)
    report_duplicates(document, default_subscription)
    if model and not model.targets and model.discover is None:
        document.report(
            (), "nothing to keep up to date: `targets` or `discover` is required"
        )
    if document.problems or model is None:
        raise TargetsError(name, document.problems)
    return _build(model, default_subscription or "")


def _build(model: TargetsModel, default_subscription: str) -> TargetsFile:
    targets = [_build_target(target, default_subscription) for target in model.targets]
    discover = None
    if model.discover:
        discover = _build_discover(model.discover, default_subscription)
    registries = {
        key: _build_registry(registry) for key, registry in model.registries.items()
    }
    recipients = [build_recipient(recipient) for recipient in model.notify]
    return TargetsFile(tuple(targets), discover, registries, tuple(recipients))


def _build_registry(registry: RegistryModel) -> RegistryEntry:
    return RegistryEntry(
        username=registry.username,
        password=registry.password,
        identity=registry.identity,
        believe=registry.believe,
        scheme=registry.scheme,
        realms=tuple(registry.realms),
    )


def _build_discover(discover: DiscoverModel, default_subscription: str) -> Discover:
    groups = discover.resource_groups
    return Discover(
        subscriptions=tuple(discover.subscriptions or [default_subscription]),
        resource_groups=None if groups is None else tuple(groups),
    )


def _build_target(target: TargetModel, default_subscription: str) -> Target:
    rules = {name: _build_rule(rule) for name, rule in target.containers.items()}
    group = TargetId(
        subscription=target.subscription or default_subscription,
        resource_group=target.resource_group,
        container_group=target.container_group,
    )
    return Target(group, rules, secrets=target.secrets, source="file")


def _build_rule(rule: RuleModel) -> ContainerRule:
    image = ImageReference.parse(rule.image) if rule.image else None
    return ContainerRule(build_policy(rule.policy), image)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")
