"""The kinds of values that settings have: lists, secrets, Azure's names, URLs. Each says what is wrong with a value."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from shared.connection_string import tidied
from shared.message import Segment

SHORTEST_TOKEN = 16


def split_commas(value: object) -> object:
    """The parts of a text between commas, without the empty ones; anything else as it is."""
    if not isinstance(value, str):
        return value
    parts = (part.strip() for part in value.split(","))
    return [part for part in parts if part]


Names = Annotated[tuple[str, ...], BeforeValidator(split_commas)]


def check_length(secret: SecretStr) -> SecretStr:
    """The secret, if it is too long to be guessed; raises ValueError."""
    if len(secret.get_secret_value()) < SHORTEST_TOKEN:
        raise ValueError(f"must have at least {SHORTEST_TOKEN} characters")
    return secret


SecretList = Annotated[
    tuple[Annotated[SecretStr, AfterValidator(check_length)], ...],
    BeforeValidator(split_commas),
]


def check_token(token: SecretStr) -> SecretStr:
    """The secret, if it can stand in a URL as well; raises ValueError."""
    text = check_length(token).get_secret_value()
    # A token stands in a URL's path, whose segments of this kind are dropped or resolved on the way (RFC 3986 §5.2.4).
    fragile_segments = {"", ".", ".."}.intersection(text.split("/"))
    if fragile_segments:
        raise ValueError(
            "must not begin or end with a slash, or contain //, /./ or /../: "
            "clients and proxies rewrite such a path, and so the token in it"
        )
    return token


Tokens = Annotated[
    tuple[Annotated[SecretStr, AfterValidator(check_token)], ...],
    BeforeValidator(split_commas),
]


def _tidy(text: SecretStr) -> SecretStr:
    return SecretStr(tidied(text.get_secret_value()))


ConnectionString = Annotated[SecretStr, AfterValidator(_tidy)]


def _shaped(pattern: str, what: str) -> AfterValidator:
    """A check that the pattern matches the whole text; `what` describes such a text."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"must be {what}")
        return value

    return AfterValidator(check)


_SEGMENT: TypeAdapter[str] = TypeAdapter(Segment)


def _check_azure_name(value: str) -> str:
    """The name, if a target may have it; raises ValueError, because a TargetId could not be made of it later."""
    try:
        return _SEGMENT.validate_python(value)
    except ValidationError:
        raise ValueError(
            "must be a name as Azure gives it, 1 to 128 letters, digits and - _ . ( ) without a dot at its end"
        ) from None


# Of queues and blob containers: learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata
_PLAIN_NAME = _shaped(
    r"[a-z0-9](?:-?[a-z0-9])*",
    "lower-case letters, digits and single dashes between them",
)
# Three to 63 characters, of which the name of the poison queue takes seven for "-poison".
QueueName = Annotated[str, StringConstraints(min_length=3, max_length=56), _PLAIN_NAME]
ContainerName = Annotated[
    str, StringConstraints(min_length=3, max_length=63), _PLAIN_NAME
]
AccountName = Annotated[
    str,
    _shaped(
        r"[a-z0-9]{3,24}",
        "a storage account's name, 3 to 24 lower-case letters and digits",
    ),
]
ApiVersion = Annotated[
    str,
    _shaped(
        r"\d{4}-\d\d-\d\d(-preview)?", "a date such as 2025-09-01, maybe with -preview"
    ),
]

AzureName = Annotated[str, AfterValidator(_check_azure_name)]
Url = Annotated[str, _shaped(r"https?://[^\s/\[\]]+(/\S*)?", "an http or https URL")]
Port = Annotated[int, Field(ge=0, le=65535)]
