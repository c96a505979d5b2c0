"""The targets file: parsed and validated as a whole, every mistake at once with its line and what was meant.

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

from shared.image import ImageReference, InvalidImage, check_registry
from shared.message import TargetId
from worker.policies.parse import parse_policy
from worker.targets.document import Document, Path, Problem, TargetsError, read_yaml, spell
from worker.targets.model import (
    MISTAKE,
    DiscoverModel,
    RegistryModel,
    RuleModel,
    Strict,
    TargetModel,
    TargetsModel,
)
from worker.targets.target import ContainerRule, Target

__all__ = ["Discover", "Problem", "RegistrySources", "TargetsError", "TargetsFile", "json_schema", "parse_targets"]

_NAME = "must be a name of 1 to 128 characters without slashes or spaces"
_MESSAGES = {
    "missing": "missing",
    "model_type": "must be a mapping, as in {key: value}",
    "dict_type": "must be a mapping, as in {key: value}",
    "list_type": "must be a list, as in [one, two]",
    "string_type": "must be a text",
    "string_unicode": "must be a text of valid characters",
    "string_pattern_mismatch": _NAME,
    "string_too_short": _NAME,
    "string_too_long": _NAME,
    "too_short": "must not be empty",
}


@dataclass(frozen=True, slots=True)
class Discover:
    """Where to look for groups that carry policies as resource tags; `resource_groups` None: everywhere."""

    subscriptions: tuple[str, ...]
    resource_groups: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class RegistrySources:
    """The sources (`env:…`, `file:…`, `keyvault:…`) of a registry's credentials."""

    username: str
    password: str


@dataclass(frozen=True, slots=True)
class TargetsFile:
    """What a valid targets file says. `registries` goes by normalised host, `notify` holds sources of URLs."""

    targets: tuple[Target, ...]
    discover: Discover | None
    registries: Mapping[str, RegistrySources]
    notify: tuple[str, ...]


def parse_targets(text: str, default_subscription: str | None, name: str = "targets.yaml") -> TargetsFile:
    """Read a targets file's text; raises TargetsError with every problem in it. `name` is for the messages."""
    document = read_yaml(text)
    if document.data is None and document.problems:
        raise TargetsError(name, document.problems)
    model = _validate(document, default_subscription)
    _report_duplicates(document, default_subscription)
    if model and not model.targets and model.discover is None:
        document.report((), "nothing to keep up to date: it needs `targets` or `discover`")
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
    """The same where what may be left out is not also written as null: nobody would know what that means."""
    if isinstance(schema, list):
        return [_without_null(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _without_null(value) for key, value in schema.items() if (key, value) != ("default", None)}
    if {"type": "null"} in kept.get("anyOf", []):
        (only,) = [one for one in kept.pop("anyOf") if one != {"type": "null"}]
        kept |= only
    return kept


def _validate(document: Document, default_subscription: str | None) -> TargetsModel | None:
    context = {"default_subscription": default_subscription}
    try:
        return TargetsModel.model_validate({} if document.data is None else document.data, context=context)
    except ValidationError as error:
        mistakes = [_explain(one) for one in error.errors(include_url=False, include_input=False)]
    meant = {(*path[:-1], nearest) for path, _, nearest in mistakes if path}
    for path, what, nearest in mistakes:
        # A misspelt key is one mistake, not also a missing one.
        if what != _MESSAGES["missing"] or path not in meant:
            document.report(path, what, nearest)
    return None


def _explain(error: Any) -> tuple[Path, str, str | None]:
    """Path, what is wrong, and what was meant, of one of pydantic's errors. Never the input, which may be a secret."""
    path = tuple(part for part in error["loc"] if part != "[key]")
    if error["type"] == MISTAKE:
        return path, error["ctx"]["what"], error["ctx"]["nearest"]
    if error["type"] == "model_type" and path[2:3] == ("containers",):
        return path, "must be a mapping, as in {policy: any}", None
    if error["type"] != "extra_forbidden":
        return path, _MESSAGES.get(error["type"], "not what belongs here"), None
    fields = _model_at(path).model_fields
    near = get_close_matches(str(path[-1]), fields, 1, cutoff=0.5)
    return path, f"not a key here, where {', '.join(fields)} may stand", near[0] if near else None


def _model_at(path: Path) -> type[Strict]:
    """The model that the last part of `path` is a key of."""
    match path:
        case ("targets", _, _):
            return TargetModel
        case ("targets", _, "containers", _, _):
            return RuleModel
        case ("discover", _):
            return DiscoverModel
        case ("registries", _, _):
            return RegistryModel
        case _:
            return TargetsModel


def _report_duplicates(document: Document, default_subscription: str | None) -> None:
    """On the data as written, so that it works beside any other mistake."""
    _report_twice_named_groups(document, default_subscription)
    hosts = document.data.get("registries") if isinstance(document.data, dict) else None
    seen: dict[str, str] = {}
    for host in hosts if isinstance(hosts, dict) else ():
        try:
            first = seen.setdefault(check_registry(host), host)
        except InvalidImage:
            continue
        if first != host:
            document.report(("registries", host), f"the same registry as {first}")


def _report_twice_named_groups(document: Document, default_subscription: str | None) -> None:
    entries = document.data.get("targets") if isinstance(document.data, dict) else None
    seen: dict[str, int] = {}
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        entry = entry if isinstance(entry, dict) else {}
        names = (
            entry.get("subscription") or default_subscription,
            entry.get("resource_group"),
            entry.get("container_group"),
        )
        if not all(isinstance(name, str) for name in names):
            continue
        first = seen.setdefault("/".join(map(str, names)).lower(), index)
        if first != index:
            path = ("targets", first)
            document.report(("targets", index), f"the same group as {spell(path)}, line {document.lines[path]}")


def _build(model: TargetsModel, default_subscription: str) -> TargetsFile:
    discover = (
        None
        if model.discover is None
        else Discover(
            tuple(model.discover.subscriptions or [default_subscription]),
            None if model.discover.resource_groups is None else tuple(model.discover.resource_groups),
        )
    )
    return TargetsFile(
        tuple(_build_target(target, default_subscription) for target in model.targets),
        discover,
        {host: RegistrySources(one.username, one.password) for host, one in model.registries.items()},
        tuple(model.notify),
    )


def _build_target(target: TargetModel, default_subscription: str) -> Target:
    rules = {
        name: ContainerRule(parse_policy(rule.policy), ImageReference.parse(rule.image) if rule.image else None)
        for name, rule in target.containers.items()
    }
    group = TargetId(
        subscription=target.subscription or default_subscription,
        resource_group=target.resource_group,
        container_group=target.container_group,
    )
    return Target(group, rules, secrets=target.secrets, source="file")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")
