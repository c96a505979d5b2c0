"""The JSON Schema of the targets file, made from its model, for editors and `aci-hooks schema`."""

from __future__ import annotations

from typing import Any

from worker.targets.model import TargetsModel


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the targets file."""
    schema = _without_null(TargetsModel.model_json_schema())
    # What parse_targets checks for the file as a whole, which no model of a single key can say.
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
