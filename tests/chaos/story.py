"""`python -m tests.chaos.story FOLDER TEXT…`: what all workers told of a push or a group, in the order of time."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.evidence import events

_CONTEXT = ("timestamp", "event", "id", "image", "target", "trace_id", "level")


def story(folder: Path, texts: list[str]) -> Iterator[str]:
    """A line for each event that holds all the texts."""
    told = [
        (str(event.get("timestamp", "")), log.stem, event)
        for log in folder.glob("worker-*.log")
        for event in events(log)
        if all(text in json.dumps(event) for text in texts)
    ]
    for at, worker, event in sorted(told, key=lambda item: item[0]):
        rest = {name: value for name, value in event.items() if name not in _CONTEXT}
        what = f"{event.get('id', '')!s:.6} {event.get('image', '')} {event.get('target', '')}"
        yield f"{at[11:23]} {worker} {what} {event.get('event')} {json.dumps(rest)}"


if __name__ == "__main__":
    for line in story(Path(sys.argv[1]), sys.argv[2:]):
        print(line)
