"""The instance view of a container or a group, as far as it has the shape that is expected. Pure.

What it holds comes from a platform that may add to it at any time, so whatever has another shape counts as missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]

_STATES = ("currentState", "previousState")


def instance_view(properties: Mapping[str, Any]) -> Json:
    """The parts of the instance view that have the expected shape: no answer from Azure may abort a look."""
    view = properties.get("instanceView")
    if not isinstance(view, dict):
        return {}
    states = {name: view[name] for name in _STATES if isinstance(view.get(name), dict)}
    rest = {
        name: value for name, value in view.items() if name not in {"events", *_STATES}
    }
    return {**rest, **states, "events": events_in(view)}


def events_in(view: Mapping[str, Any]) -> list[Json]:
    """The events of a view, in Azure's order, which means nothing."""
    events = view.get("events")
    if not isinstance(events, list):
        return []
    return [event for event in events if isinstance(event, dict)]


def redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """A part of a view with every text in it redacted, however deep it lies."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {name: redacted(member, redact) for name, member in value.items()}
    if isinstance(value, list):
        return [redacted(element, redact) for element in value]
    return value
