"""The wire schema of the queue: update messages and looks, encoded as base64 of UTF-8 JSON.

Base64 is what Azure Functions and the portal's message view expect of a queue.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic_core import from_json

from shared.push import Push

MAX_MESSAGE = 32 * 1024
"""Bytes of an encoded update message: half of what a queue takes, so that it still fits into a dead letter."""

LATEST = timedelta(days=1)
"""How far behind its insertion into the queue a message's time may lie: a forged date would outrank every push."""

# What Azure lets resource groups be called, which is more than it lets subscriptions and container groups. The names
# make that of a record's blob, and a look whose record storage refuses to name, as `..`, would go round without end:
# learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
Segment = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, pattern=r"^[\w().-]*[\w()-]$"),
    # To an editor \w is ASCII, and it would mark names that Azure gives.
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 128,
            "pattern": r"^[^/\\\s]*[^/\\\s.]$",
        }
    ),
]


# Far more than any message gets to. Larger numbers don't fit into a float, and an infinite one is written as null.
Count = Annotated[int, Field(ge=0, le=2**53)]
Seconds = Annotated[float, Field(ge=0, le=2**53)]


class Undecodable(ValueError):
    """The text on the queue is not a message of aci-hooks: not base64, not JSON, or of another schema."""


def _lowered(name: str) -> str:
    """The name in lower case, but for capitals that are not those of their small letter.

    To Python the Kelvin sign is a capital k. With it, a forged message of another name would name a group's record.
    """
    if name.isascii():
        return name.lower()
    return "".join(
        letter.lower() if letter.lower().upper() == letter else letter
        for letter in name
    )


class TargetId(BaseModel):
    """Which container group. ARM's names are case-insensitive, so two spellings of one group are equal."""

    model_config = ConfigDict(frozen=True)

    subscription: Segment
    resource_group: Segment
    container_group: Segment

    @property
    def key(self) -> str:
        """`subscription/resource group/container group` in lower case: equal for every spelling, and a blob's name."""
        names = (self.subscription, self.resource_group, self.container_group)
        return "/".join(_lowered(name) for name in names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TargetId) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return f"{self.resource_group}/{self.container_group}"


class UpdateMessage(BaseModel):
    """One message of the updates queue: a push whose targets are to be found, or its rollout onto one target.

    `attempts` counts failed attempts; `dequeued` is the queue's dequeue count at the last settlement, by which a
    message that was received again without having been settled (its worker died) is told from one that just waited.
    """

    model_config = ConfigDict(
        # A later version may add fields. Refusing them would make a dead letter of each of its messages while the
        # programs are upgraded one by one.
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        serialize_by_alias=True,
    )

    schema_: Literal["aci-hooks/1"] = Field("aci-hooks/1", alias="schema")
    id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    kind: Literal["push", "rollout"]
    push: Push
    received_at: AwareDatetime
    traceparent: Annotated[str, StringConstraints(max_length=128)] | None = None
    target: TargetId | None = None
    attempts: Count = 0
    dequeued: Count = 0

    @model_validator(mode="after")
    def _rollout_has_target(self) -> Self:
        if self.kind == "rollout" and self.target is None:
            raise ValueError("a rollout message must name its target")
        return self

    @model_serializer(mode="wrap")
    def _without_unused(
        self, serialize: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        unused = [
            name
            for name in ("target", "attempts", "dequeued")
            if not getattr(self, name)
        ]
        return {
            name: value for name, value in serialize(self).items() if name not in unused
        }

    @property
    def order(self) -> tuple[datetime, datetime]:
        """What decides which of two pushes is the newer one."""
        return self.push.order(self.received_at)

    def for_target(self, target: TargetId) -> UpdateMessage:
        """The rollout message of this push for one target."""
        # The counts are those of the message that was fanned out. The new one has yet to be received.
        return self.model_copy(
            update={"kind": "rollout", "target": target, "attempts": 0, "dequeued": 0}
        )

    def encode(self) -> str:
        """The message as it goes onto the queue; raises ValueError beyond MAX_MESSAGE bytes."""
        text = to_base64(self.model_dump_json())
        if len(text) > MAX_MESSAGE:
            raise ValueError(
                f"the message has {len(text)} bytes, more than {MAX_MESSAGE}"
            )
        return text


class Look(BaseModel):
    """A group's timer: its group is to be looked at. It counts only if the group's record names its `token`.

    `count` is higher than that of every look before it. `attempts` counts the times in a row that nobody could look,
    for the same `trouble`, `waited` the seconds spent waiting for any to pass; `dequeued` is as for an update message.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True
    )

    schema_: Literal["aci-hooks/1"] = Field("aci-hooks/1", alias="schema")
    kind: Literal["look"] = "look"
    target: TargetId
    token: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    count: Count
    attempts: Count = 0
    trouble: Annotated[str, StringConstraints(max_length=128)] = ""
    waited: Seconds = 0.0
    dequeued: Count = 0

    def tries(self, trouble: str) -> int:
        """How often in a row this same trouble occurred. Other troubles in between start the count again."""
        return self.attempts if self.trouble == trouble else 0

    def met(self, trouble: str) -> Look:
        """The look after one more occurrence of this trouble."""
        return self.model_copy(
            update={"attempts": self.tries(trouble) + 1, "trouble": trouble[:128]}
        )

    @model_serializer(mode="wrap")
    def _without_unused(
        self, serialize: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        unused = [
            name
            for name in ("attempts", "trouble", "waited", "dequeued")
            if not getattr(self, name)
        ]
        return {
            name: value for name, value in serialize(self).items() if name not in unused
        }

    def encode(self) -> str:
        """The look as it goes onto the queue."""
        return to_base64(self.model_dump_json())


def decode(text: str, inserted_at: datetime | None = None) -> UpdateMessage | Look:
    """Read a message off the updates queue; raises Undecodable, saying what is wrong with it.

    `inserted_at` is when the queue got it: no time in it may be more than a day later. Old times are fine, as
    redrive, holds and long waits keep them.
    """
    # This is checked before anything is parsed. A larger message can't be ours, and would not fit into a dead letter.
    if len(text) > MAX_MESSAGE:
        raise Undecodable(
            f"{len(text)} bytes, more than the {MAX_MESSAGE} that a message may have"
        )
    raw = from_base64(text)
    try:
        schema = Look if _is_look(raw) else UpdateMessage
        message = schema.model_validate_json(raw)
    except ValidationError as error:
        raise Undecodable(explained(error)) from error
    if inserted_at and isinstance(message, UpdateMessage):
        for name, at in (
            ("received_at", message.received_at),
            ("push.pushed_at", message.push.pushed_at),
        ):
            # The time of insertion is by storage's clock, which no sender and no worker can set.
            if at and at - inserted_at > LATEST:
                raise Undecodable(
                    f"{name}: {at} is more than a day after the message came onto the queue"
                )
    return message


def to_base64(text: str) -> str:
    """Base64 of the text's UTF-8 bytes."""
    return base64.b64encode(text.encode()).decode("ascii")


def from_base64(text: str) -> bytes:
    """The bytes behind `text`; raises Undecodable."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Undecodable("not base64") from error


def _is_look(raw: bytes) -> bool:
    try:
        content = from_json(raw)
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("kind") == "look"


def explained(error: ValidationError) -> str:
    """What is wrong with a text, the first mistakes alone, and never what it holds."""
    return "; ".join(
        f"{'.'.join(str(part) for part in mistake['loc']) or 'message'}: {mistake['msg']}"
        for mistake in error.errors()[:5]
    )
