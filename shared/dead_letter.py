"""Dead letters: what the poison queue holds of a message that failed, with the whole message and the evidence."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from shared.message import (
    Undecodable,
    UpdateMessage,
    explained,
    from_base64,
    to_base64,
)

MAX_LETTER = 64 * 1024
"""Bytes of an encoded dead letter: what a queue takes (docs: "Scalability targets for Queue Storage")."""

_LONGEST_CODE = 128
"""Characters of a code where a letter has to be cut."""
_CUT = "[…]\n"
"""Stands in front of lines of which the earlier ones were cut off."""


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


Log = Annotated[str | None, BeforeValidator(_text_or_none)]
"""The last lines of a container. A record or letter that holds anything else in its place can be read all the same."""


class DeadLetter(BaseModel):
    """A message that failed, why, and the whole message for a retry. `message` is raw text if it is undecodable.

    `log` are the last lines of the container that crashed, if they could be read before it was rolled back.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True
    )

    schema_: Literal["aci-hooks/dead-letter/1"] = Field(
        "aci-hooks/dead-letter/1", alias="schema"
    )
    reason: str
    code: str
    detail: str
    attempts: NonNegativeInt
    first_received_at: AwareDatetime
    dead_lettered_at: AwareDatetime
    message: UpdateMessage | str
    log: Log = None

    @model_serializer(mode="wrap")
    def _without_unused(
        self, serialize: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        return {
            name: value
            for name, value in serialize(self).items()
            if name != "log" or value is not None
        }

    def encode(self) -> str:
        """The letter as it goes onto the queue; what does not fit into MAX_LETTER bytes is cut, first log, then detail.

        A raw message that is too large for an envelope is passed on unchanged, so that nothing of it is lost.
        """
        text = to_base64(self.model_dump_json())
        if len(text) <= MAX_LETTER:
            return text
        if self.log:
            # Its end tells most, so that is what stays.
            # Halved until it fits: how many bytes a text takes in JSON and base64 depends on its characters.
            return self.model_copy(
                update={
                    "log": last_lines(self.log, len(self.log.encode()) // 2) or None
                }
            ).encode()
        if isinstance(self.message, str):
            return self.message
        # A character may take six bytes in JSON, and a message half of the letter.
        return to_base64(
            self.model_copy(
                update={
                    "detail": self.detail[: MAX_LETTER // 32] + " […]",
                    "code": self.code[:_LONGEST_CODE],
                }
            ).model_dump_json()
        )


def decode_letter(text: str) -> DeadLetter:
    """Read a letter off the poison queue; raises Undecodable."""
    try:
        return DeadLetter.model_validate_json(from_base64(text))
    except ValidationError as error:
        raise Undecodable(explained(error)) from error


def last_lines(text: str, limit: int) -> str:
    """The end of the text, at most `limit` bytes of UTF-8: whole lines, or a part of the last one if it is too long."""
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    room = limit - len(_CUT.encode())
    if room <= 0:
        return ""
    # A character that is cut in two is left out.
    kept = encoded[-room:].decode(errors="ignore")
    _, newline, whole_lines = kept.partition("\n")
    return f"{_CUT}{whole_lines if newline and whole_lines else kept}"
