"""Kinds of values that several models of the targets file have: one of some words, a text or a mapping."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import AfterValidator, Discriminator, WithJsonSchema

from worker.targets.strict import Strict, mistake

SHORT, LONG = "short form", "long form"
"""The tags of the two forms. pydantic adds them to the place of each error; worker.targets.mistakes leaves them out."""


def text_schema(**keywords: Any) -> WithJsonSchema:
    """What the JSON Schema says of a text. pydantic itself would say nothing of what a validator checks."""
    return WithJsonSchema({"type": "string", **keywords})


def one_of(words: Sequence[str], noun: str) -> AfterValidator:
    """Validate a text that must be one of these words; `noun` is what they are, with its article."""

    def check(text: str) -> str:
        if text not in words:
            near = get_close_matches(text.lower(), words, 1)
            raise mistake(
                f"{text[:80]!r} is not {noun}: {', '.join(words)}",
                near[0] if near else None,
            )
        return text

    return AfterValidator(check)


def short_or_long(model: type[Strict]) -> Discriminator:
    """Tell the long form, a mapping, from the short one, a text.

    Without it pydantic would try both forms and report the mistakes of both, although only one can be meant.
    """

    def form_of(value: object) -> str:
        # pydantic asks with a mapping when it validates, and with a model when it serialises one.
        return LONG if isinstance(value, dict | model) else SHORT

    return Discriminator(form_of)
