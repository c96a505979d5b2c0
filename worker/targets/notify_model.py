"""The model of `notify` in the targets file: a source of a URL, or a mapping that says what is told there."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, Tag

from worker.targets.kinds import LONG, SHORT, one_of, short_or_long, text_schema
from worker.targets.recipients import OUTCOMES, TOLD, Recipient
from worker.targets.sources import SourceText
from worker.targets.strict import Strict, mistake

# What a name may not contain, rather than \w for what it may: to a JSON Schema \w is ASCII, and editors would mark the
# letters of other alphabets, which Azure allows in the names of resource groups.
_GROUPS = r"^[^/\\\s]+/[^/\\\s]+$"


def _check_groups(text: str) -> str:
    if re.fullmatch(_GROUPS, text):
        return text
    # A name alone is most likely a resource group's.
    nearest = f"{text}/*" if text.strip("*") else "*/*"
    what = f"{text[:80]!r} does not name groups: write resource group/container group, where * and ? stand for any"
    raise mistake(what, nearest if re.fullmatch(_GROUPS, nearest) else None)


OutcomeText = Annotated[
    str,
    one_of(OUTCOMES, "an outcome"),
    text_schema(enum=list(OUTCOMES)),
]
GroupsText = Annotated[
    str,
    AfterValidator(_check_groups),
    text_schema(pattern=_GROUPS, examples=["web/*", "web/shop"]),
]


class RecipientModel(Strict):
    """Somebody who is told of outcomes."""

    url: SourceText = Field(
        description="The source of the URL: any URL of Apprise, or https for plain JSON."
    )
    on: Annotated[list[OutcomeText], Field(min_length=1)] | None = Field(
        None,
        description=f"The outcomes that are told. Left out: {', '.join(word for word in OUTCOMES if word in TOLD)}.",
    )
    groups: Annotated[list[GroupsText], Field(min_length=1)] | None = Field(
        None,
        description="The groups that are told of, as resource group/container group. Left out: all of them.",
    )


AnyRecipient = Annotated[
    Annotated[SourceText, Tag(SHORT)] | Annotated[RecipientModel, Tag(LONG)],
    short_or_long(RecipientModel),
]


def build_recipient(model: str | RecipientModel) -> Recipient:
    """The recipient that a valid model stands for."""
    if isinstance(model, str):
        return Recipient(model)
    on = frozenset(model.on) if model.on else TOLD
    return Recipient(model.url, on, tuple(model.groups or ()))
