"""The targets file: parsed and validated as a whole. All mistakes are reported at once, with lines and suggestions.

`python -m worker.targets.file` prints the JSON Schema that is shipped as worker/targets.schema.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from shared.image import ImageReference, InvalidImage
from shared.message import TargetId
from worker.targets.document import (
    Data,
    Document,
    Path,
    Problem,
    TargetsError,
    read_yaml,
    spell,
)
from worker.targets.model import (
    DiscoverModel,
    RegistryModel,
    RuleModel,
    TargetModel,
    TargetsModel,
)
from worker.targets.notify_model import RecipientModel, build_recipient
from worker.targets.policy_model import LONG, SHORT, PolicyModel, build_policy
from worker.targets.recipients import Recipient
from worker.targets.registries import RegistryEntry
from worker.targets.registry_keys import check_registry_key
from worker.targets.strict import MISTAKE, Strict
from worker.targets.target import ContainerRule, Target

__all__ = [
    "Discover",
    "Problem",
    "TargetsError",
    "TargetsFile",
    "json_schema",
    "parse_targets",
]

_NAME = "must be a name of 1 to 128 characters without slashes or spaces"
_MESSAGES = {
    "missing": "missing",
    "model_type": "must be a mapping, as in {key: value}",
    "dict_type": "must be a mapping, as in {key: value}",
    "list_type": "must be a list, as in [one, two]",
    "string_type": "must be a string",
    "string_unicode": "must be a string of valid characters",
    "string_pattern_mismatch": _NAME,
    "string_too_short": _NAME,
    "string_too_long": _NAME,
    "too_short": "must not be empty",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}


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
    if document.data is None and document.problems:
        raise TargetsError(name, document.problems)
    # Everything is checked before anything is raised: who corrects a file wants to see all mistakes at once.
    model = _validate(document, default_subscription)
    _report_duplicates(document, default_subscription)
    if model and not model.targets and model.discover is None:
        document.report(
            (), "nothing to keep up to date: `targets` or `discover` is required"
        )
    if document.problems or model is None:
        raise TargetsError(name, document.problems)
    return _build(model, default_subscription or "")


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the targets file."""
    schema = _without_null(TargetsModel.model_json_schema())
    enough = [{"required": ["targets"]}, {"required": ["discover"]}]
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {**dialect, **schema, "anyOf": enough, "title": "aci-hooks targets file"}


def _without_null(schema: Any) -> Any:
    """The same schema without null for optional keys: the meaning of a written null would be unclear.

    pydantic writes `key: X | None = None` as `{"anyOf": [X, {"type": "null"}], "default": null}`; this leaves X.
    """
    if isinstance(schema, list):
        return [_without_null(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: _without_null(value)
        for key, value in schema.items()
        if (key, value) != ("default", None)
    }
    null = {"type": "null"}
    if null in kept.get("anyOf", []):
        (only,) = [
            alternative for alternative in kept.pop("anyOf") if alternative != null
        ]
        kept |= only
    return kept


def _validate(
    document: Document, default_subscription: str | None
) -> TargetsModel | None:
    context = {"default_subscription": default_subscription}
    try:
        return TargetsModel.model_validate(
            {} if document.data is None else document.data, context=context
        )
    except ValidationError as error:
        mistakes = [
            _explain(detail)
            for detail in error.errors(include_url=False, include_input=False)
        ]
    # Each place that an unknown key was probably meant for.
    meant = {(*path[:-1], nearest) for path, _, nearest in mistakes if path}
    for path, what, nearest in mistakes:
        # A misspelt key is one mistake, not also a missing one.
        if what != _MESSAGES["missing"] or path not in meant:
            document.report(path, what, nearest)
    return None


def _explain(error: Any) -> tuple[Path, str, str | None]:
    """The path, the mistake and the suggestion for an error of pydantic. Never the input, which may be a secret."""
    # pydantic adds "[key]" after an invalid key of a mapping, and the form after a policy or a recipient.
    path = tuple(part for part in error["loc"] if part not in ("[key]", SHORT, LONG))
    kind = error["type"]
    if kind == MISTAKE:
        return path, error["ctx"]["what"], error["ctx"]["nearest"]
    if kind == "extra_forbidden":
        fields = _model_at(path).model_fields
        near = get_close_matches(str(path[-1]), fields, 1, cutoff=0.5)
        what = f"unknown key; known here are {', '.join(fields)}"
        return path, what, near[0] if near else None
    # Whoever writes `web: any` for `web: {policy: any}` is told so, rather than that a mapping is wanted.
    is_in_containers = path[2:3] == ("containers",)
    if kind == "model_type" and is_in_containers:
        return path, "must be a mapping, as in {policy: any}", None
    return path, _MESSAGES.get(kind, "unexpected value"), None


def _model_at(path: Path) -> type[Strict]:
    """The model that the last part of `path` is a key of."""
    match path:
        case ("targets", _, _):
            return TargetModel
        case ("targets", _, "containers", _, _):
            return RuleModel
        case ("targets", _, "containers", _, "policy", _):
            return PolicyModel
        case ("discover", _):
            return DiscoverModel
        case ("registries", _, _):
            return RegistryModel
        case ("notify", _, _):
            return RecipientModel
        case _:
            return TargetsModel


def _report_duplicates(document: Document, default_subscription: str | None) -> None:
    """Report groups and registries that are given twice, from the raw data: that works despite other mistakes."""
    if not isinstance(document.data, dict):
        return
    _report_groups_named_twice(
        document, document.data.get("targets"), default_subscription
    )
    _report_registries_named_twice(document, document.data.get("registries"))


def _report_groups_named_twice(
    document: Document, entries: Data, default_subscription: str | None
) -> None:
    if not isinstance(entries, list):
        return
    seen: dict[str, int] = {}
    for index, entry in enumerate(entries):
        group = _group_in(entry, default_subscription)
        if group is None:
            continue
        # Azure compares these names without regard to case.
        first = seen.setdefault(group.lower(), index)
        if first != index:
            path = ("targets", first)
            document.report(
                ("targets", index),
                f"the same group as {spell(path)}, line {document.lines[path]}",
            )


def _group_in(entry: Data, default_subscription: str | None) -> str | None:
    """The group that an entry of `targets` names, by subscription, resource group and name; None if one is missing."""
    if not isinstance(entry, dict):
        return None
    subscription = entry.get("subscription") or default_subscription
    names = (subscription, entry.get("resource_group"), entry.get("container_group"))
    texts = [name for name in names if isinstance(name, str)]
    return "/".join(texts) if len(texts) == len(names) else None


def _report_registries_named_twice(document: Document, hosts: Data) -> None:
    if not isinstance(hosts, dict):
        return
    seen: dict[str, str] = {}
    for host in hosts:
        try:
            first = seen.setdefault(check_registry_key(host), host)
        except InvalidImage:
            # The model has reported it.
            continue
        if first != host:
            document.report(("registries", host), f"the same registry as {first}")


def _build(model: TargetsModel, default_subscription: str) -> TargetsFile:
    return TargetsFile(
        targets=tuple(
            _build_target(target, default_subscription) for target in model.targets
        ),
        discover=_build_discover(model.discover, default_subscription)
        if model.discover
        else None,
        registries={
            key: _build_registry(registry) for key, registry in model.registries.items()
        },
        notify=tuple(build_recipient(recipient) for recipient in model.notify),
    )


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
