"""Sample deliveries, one folder each: `<sender>/<case>/{headers.json,body,expected.json}`. All invented."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parent


@dataclass(frozen=True)
class Sample:
    """`expected` is {"status", "pushes"} for 202, {"status", "reason" or "answer"} for 200, {"status", "detail"} else;
    a reason or a detail is a part of the text."""

    sender: str
    case: str
    headers: dict[str, str]
    body: bytes
    expected: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.sender}/{self.case}"


def load(sender: str, case: str) -> Sample:
    """One sample."""
    folder = _ROOT / sender / case
    return Sample(
        sender,
        case,
        json.loads((folder / "headers.json").read_text()),
        (folder / "body").read_bytes(),
        json.loads((folder / "expected.json").read_text()),
    )


def all_samples() -> list[Sample]:
    """Every sample of every sender."""
    return [load(path.parent.parent.name, path.parent.name) for path in sorted(_ROOT.glob("*/*/body"))]
