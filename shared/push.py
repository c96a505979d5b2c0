"""Push: one tag of one repository now points at an image."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from shared.image import ImageReference, check_digest, check_registry, check_repository_at, check_tag

CLOCK_SKEW = timedelta(hours=1)
"""How far ahead of ours a sender's clock may be. A push that claims a later time is ordered by when it was received:
otherwise one wrong clock, or one forged date, would outrank every later push."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Push(BaseModel):
    """A push, as every sender's payload is normalised to it. Bad parts raise pydantic's ValidationError.

    Docker Hub's official images are put under `library/`. `pushed_at` is the sender's time, None where it sends none;
    `digest` likewise. `proof` says how the sender proved itself: by its own signature or header, or by a shared token.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    sender: Text
    registry: Annotated[str, AfterValidator(check_registry)]
    repository: str
    tag: Annotated[str, AfterValidator(check_tag)]
    digest: Annotated[str, AfterValidator(check_digest)] | None = None
    pushed_at: AwareDatetime | None = None
    pusher: Text | None = None
    proof: Literal["own", "token", "operator"] | None = None

    @field_validator("repository")
    @classmethod
    def _in_full(cls, repository: str, others: ValidationInfo) -> str:
        return check_repository_at(others.data.get("registry", ""), repository)

    @classmethod
    def of(cls, sender: str, image: ImageReference, **rest: object) -> Push:
        """The push of `image`, which carries a tag; `rest` is pushed_at and pusher. Raises ValidationError."""
        return cls.model_validate(
            {
                "sender": sender,
                "registry": image.registry,
                "repository": image.repository,
                "tag": image.tag,
                "digest": image.digest,
                **rest,
            }
        )

    @property
    def image(self) -> ImageReference:
        """The pushed image by its tag alone."""
        return ImageReference(self.registry, self.repository, self.tag)

    def not_after(self, received_at: datetime) -> Push:
        """The push, pushed when it was received if it claims a later time: no clock of a sender's outranks a push."""
        if self.pushed_at is None or self.pushed_at <= received_at + CLOCK_SKEW:
            return self
        return self.model_copy(update={"pushed_at": received_at})

    def order(self, received_at: datetime) -> tuple[datetime, datetime]:
        """What two pushes are compared by: when it was pushed, then when it was received."""
        pushed_at = self.pushed_at or received_at
        return (received_at if pushed_at > received_at + CLOCK_SKEW else pushed_at), received_at
