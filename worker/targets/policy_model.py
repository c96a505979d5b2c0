"""The model of a policy in the targets file: its short form, a text, or its long one, a mapping."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationInfo, WithJsonSchema, field_validator

from worker.policies.conditions import Conditions, parse_age, parse_platform
from worker.policies.extract import Extract
from worker.policies.longform import ORDERS, LongForm, order_of
from worker.policies.parse import InvalidPolicy, Policy, parse_policy
from worker.policies.patterns import parse_matcher
from worker.policies.semver import LEVELS, parse_bound
from worker.targets.strict import Strict, mistake

SHORT, LONG = "short form", "long form"


def _check_policy(text: str) -> str:
    try:
        parse_policy(text)
    except InvalidPolicy as error:
        raise mistake(f"{text[:80]!r} is not a policy: {error.problem}", error.suggestion) from None
    return text


def _checked_by(read: Callable[[str], object]) -> AfterValidator:
    """Let a reader of worker.policies judge the text."""

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
        meant = f"glob:{text}" if set(text) & set("*?[") and ":" not in text else None
        raise mistake(f"{text[:80]!r}: {error}", meant) from None
    return text


def _check_order(text: str) -> str:
    if text not in ORDERS:
        near = get_close_matches(text.lower(), ORDERS, 1)
        raise mistake(f"{text[:80]!r} is not an order: {', '.join(ORDERS)}", near[0] if near else None)
    return text


def _check_yes_or_no(text: str) -> str:
    if text.lower() not in ("true", "false"):
        raise mistake("must be true or false")
    return text.lower()


def _schema(**keywords: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **keywords})


PolicyText = Annotated[
    str,
    AfterValidator(_check_policy),
    _schema(
        pattern=r"^(any|same-tag|semver(\+pre)?|semver:(major|minor|patch)(\+pre)?|semver:[<>=^~].*|glob:.+|regex:.+)$",
        examples=["any", "same-tag", "semver:minor", "semver:>=1.4 <2", "semver:minor+pre", "glob:*-main"],
    ),
]
MatcherText = Annotated[str, AfterValidator(_check_matcher), _schema(examples=["glob:1.*", r"regex:^v\d", "1.5.3"])]
OrderText = Annotated[str, AfterValidator(_check_order), _schema(enum=list(ORDERS))]
BoundText = Annotated[str, _checked_by(parse_bound), _schema(examples=[*LEVELS, ">=1.4 <2"])]
ExtractText = Annotated[str, _checked_by(Extract), _schema(examples=[r"(\d+)\.(\d+)-r(\d+)"])]
PlatformText = Annotated[str, _checked_by(parse_platform), _schema(examples=["linux/amd64", "linux/arm64/v8"])]
AgeText = Annotated[str, _checked_by(parse_age), _schema(pattern="^([0-9]+[dhms])+$", examples=["30m", "2h", "1d"])]
# The file is read as texts; editors, which read YAML's booleans, are told of both.
YesOrNo = Annotated[
    str,
    AfterValidator(_check_yes_or_no),
    WithJsonSchema({"type": ["boolean", "string"], "pattern": "^(true|True|TRUE|false|False|FALSE)$"}),
]


class PolicyModel(Strict):
    """The long form of a policy, of which the short ones are abbreviations."""

    order: OrderText = Field(
        "pushed", description="What orders the tags. The highest one wins, and nothing goes down; pushed: the last one."
    )
    match: Annotated[list[MatcherText], Field(min_length=1)] | None = Field(
        None, description="The tags that count: any of these. Left out: all of them."
    )
    exclude: list[MatcherText] = Field([], description="The tags that don't count, whatever match says.")
    within: BoundText | None = Field(None, description="How far an update may go, under order: semver.")
    extract: ExtractText | None = Field(
        None, description="A regular expression of whole tags; what its groups capture is what is ordered."
    )
    pre_releases: YesOrNo = Field("false", description="Whether pre-releases count, under order: semver.")
    platform: PlatformText | None = Field(None, description="An image that is not built for it is not rolled out.")
    min_age: AgeText | None = Field(None, description="How long ago an image must have been pushed.")
    start: YesOrNo = Field(
        "false", description="Whether a running tag without a place in the order is replaced by the best one."
    )

    @field_validator("within", "extract", "pre_releases", "start")
    @classmethod
    def _fits_the_order(cls, value: str, info: ValidationInfo) -> str:
        """These do nothing under some orders; whoever writes one there has meant something else."""
        order = info.data.get("order")  # None: it is itself wrong, and told already
        only_semver = info.field_name in ("within", "pre_releases")
        if value != "false" and order == "pushed":
            needed = "semver" if only_semver else "semver, number or text"
            raise mistake(f"needs an order of tags beside it, as in order: {needed}")
        if value != "false" and only_semver and order in ("number", "text"):
            raise mistake("goes with order: semver alone")
        return value


def _form(value: object) -> str:
    return LONG if isinstance(value, dict | PolicyModel) else SHORT


AnyPolicy = Annotated[
    Annotated[PolicyText, Tag(SHORT)] | Annotated[PolicyModel, Tag(LONG)],
    Discriminator(_form),
]


def build_policy(model: str | PolicyModel) -> Policy:
    """The policy that a valid model stands for."""
    if isinstance(model, str):
        return parse_policy(model)
    return LongForm(
        order=order_of(
            model.order,
            parse_bound(model.within) if model.within else None,
            Extract(model.extract) if model.extract else None,
            pre_releases=model.pre_releases == "true",
        ),
        match=tuple(parse_matcher(text) for text in model.match or ()),
        exclude=tuple(parse_matcher(text) for text in model.exclude),
        start=model.start == "true",
        conditions=Conditions(model.platform, parse_age(model.min_age) if model.min_age else None),
    )
