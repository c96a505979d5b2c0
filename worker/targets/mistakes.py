"""Validates a targets file's data against its model, and words each mistake for the person who wrote the file."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from worker.targets.document import Document, Path
from worker.targets.kinds import LONG, SHORT
from worker.targets.model import (
    DiscoverModel,
    RegistryModel,
    RuleModel,
    TargetModel,
    TargetsModel,
)
from worker.targets.notify_model import RecipientModel
from worker.targets.policy_model import PolicyModel
from worker.targets.strict import MISTAKE, Strict

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


def validate(
    document: Document, default_subscription: str | None
) -> TargetsModel | None:
    """The valid model; None after every mistake has been reported to the document."""
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
    # Each place that an unknown key was probably meant for: `polcy` for `policy`.
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
    """The model that the last part of `path` is a key of. pydantic tells the place of an unknown key, not its model."""
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
