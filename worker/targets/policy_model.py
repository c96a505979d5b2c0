"""The model of a policy in the targets file: the short form is a text, the long form a mapping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import (
    AfterValidator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from worker.policies.conditions import Conditions, parse_age, parse_platform
from worker.policies.extract import Extract
from worker.policies.longform import ORDERS, LongForm, order_of
from worker.policies.parse import InvalidPolicy, Policy, parse_policy
from worker.policies.patterns import parse_matcher
from worker.policies.semver import LEVELS, parse_bound
from worker.targets.kinds import LONG, SHORT, one_of, short_or_long, text_schema
from worker.targets.strict import Strict, mistake


def _check_policy(text: str) -> str:
    try:
        parse_policy(text)
    except InvalidPolicy as error:
        raise mistake(
            f"{text[:80]!r} is not a policy: {error.problem}", error.suggestion
        ) from None
    return text


def _checked_by(read: Callable[[str], object]) -> AfterValidator:
    """Validate the text with a parser of worker.policies."""

    def check(text: str) -> str:
        try:
            read(text)
        except ValueError as error:
            raise mistake(f"{text[:80]!r}: {error}") from None
        return text

    return AfterValidator(check)


def _check_matcher(text: str) -> str:
    try:
        parse_matcher(text)
    except ValueError as error:
        # A tag by itself is a matcher, too. One with wildcards can't be a tag, so a shell pattern was meant.
        has_wildcards = bool(set(text) & set("*?["))
        meant = f"glob:{text}" if has_wildcards and ":" not in text else None
        raise mistake(f"{text[:80]!r}: {error}", meant) from None
    return text


def _check_yes_or_no(text: str) -> str:
    if text.lower() not in ("true", "false"):
        raise mistake("must be true or false")
    return text.lower()


PolicyText = Annotated[
    str,
    AfterValidator(_check_policy),
    text_schema(
        pattern=r"^(any|same-tag|semver(\+pre)?|semver:(major|minor|patch)(\+pre)?|semver:[<>=^~].*|glob:.+|regex:.+)$",
        examples=[
            "any",
            "same-tag",
            "semver:minor",
            "semver:>=1.4 <2",
            "semver:minor+pre",
            "glob:*-main",
        ],
    ),
]
MatcherText = Annotated[
    str,
    AfterValidator(_check_matcher),
    text_schema(examples=["glob:1.*", r"regex:^v\d", "1.5.3"]),
]
OrderText = Annotated[str, one_of(ORDERS, "an order"), text_schema(enum=list(ORDERS))]
BoundText = Annotated[
    str, _checked_by(parse_bound), text_schema(examples=[*LEVELS, ">=1.4 <2"])
]
ExtractText = Annotated[
    str, _checked_by(Extract), text_schema(examples=[r"(\d+)\.(\d+)-r(\d+)"])
]
PlatformText = Annotated[
    str,
    _checked_by(parse_platform),
    text_schema(examples=["linux/amd64", "linux/arm64/v8"]),
]
AgeText = Annotated[
    str,
    _checked_by(parse_age),
    text_schema(pattern="^([0-9]+[dhms])+$", examples=["30m", "2h", "1d"]),
]
# The file is read as texts, but editors read YAML's booleans: the schema allows both.
YesOrNo = Annotated[
    str,
    AfterValidator(_check_yes_or_no),
    WithJsonSchema(
        {
            "type": ["boolean", "string"],
            "pattern": "^(true|True|TRUE|false|False|FALSE)$",
        }
    ),
]


class PolicyModel(Strict):
    """The long form of a policy. The short forms are abbreviations of it."""

    order: OrderText = Field(
        "pushed",
        description="What orders the tags. The highest tag wins, and nothing goes down; pushed: the last push wins.",
    )
    match: Annotated[list[MatcherText], Field(min_length=1)] | None = Field(
        None,
        description="The tags that count: those that match any of these. Left out: all tags.",
    )
    exclude: list[MatcherText] = Field(
        [], description="The tags that don't count, whatever match says."
    )
    within: BoundText | None = Field(
        None, description="How far an update may go, under order: semver."
    )
    extract: ExtractText | None = Field(
        None,
        description="A regular expression that matches whole tags; what its groups capture is compared.",
    )
    pre_releases: YesOrNo = Field(
        "false", description="Whether pre-releases count, under order: semver."
    )
    platform: PlatformText | None = Field(
        None,
        description="An image that is not built for this platform is not rolled out.",
    )
    min_age: AgeText | None = Field(
        None,
        description="How long ago an image must have been pushed before it is rolled out.",
    )
    start: YesOrNo = Field(
        "false",
        description="Whether a running tag without a place in the order is replaced by the best tag.",
    )

    # `order` is the first field, since pydantic validates in this order and shows a validator only what came before.
    @field_validator("within", "extract", "pre_releases", "start")
    @classmethod
    def _fits_the_order(cls, value: str, info: ValidationInfo) -> str:
        """These keys have no effect under some orders; whoever writes one there meant something else."""
        order = info.data.get("order")  # None: it is invalid, which is reported already
        only_semver = info.field_name in ("within", "pre_releases")
        # A written "false" changes nothing under any order, so it is not a mistake.
        if value != "false" and order == "pushed":
            needed = "semver" if only_semver else "semver, number or text"
            raise mistake(f"requires an order of tags, for example order: {needed}")
        if value != "false" and only_semver and order in ("number", "text"):
            raise mistake("is only valid with order: semver")
        return value


AnyPolicy = Annotated[
    Annotated[PolicyText, Tag(SHORT)] | Annotated[PolicyModel, Tag(LONG)],
    short_or_long(PolicyModel),
]


def build_policy(model: str | PolicyModel) -> Policy:
    """The policy that a valid model stands for."""
    if isinstance(model, str):
        return parse_policy(model)
    bound = parse_bound(model.within) if model.within else None
    extract = Extract(model.extract) if model.extract else None
    pre_releases = model.pre_releases == "true"
    min_age = parse_age(model.min_age) if model.min_age else None
    return LongForm(
        order=order_of(model.order, bound, extract, pre_releases=pre_releases),
        match=tuple(parse_matcher(text) for text in model.match or ()),
        exclude=tuple(parse_matcher(text) for text in model.exclude),
        start=model.start == "true",
        conditions=Conditions(model.platform, min_age),
    )
