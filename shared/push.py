"""Push: the news that one tag of one repository now points at an image."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from shared.image import (
    ImageReference,
    check_digest,
    check_registry,
    check_repository_at,
    check_tag,
)

Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Proof = Literal["own", "token", "operator"]
"""How far a push is proven: by the sender's own signature, header or OIDC; by a token that is shared; or it was put
onto the queue by hand."""


class Push(BaseModel):
    """A push, to which every sender's payload is normalised. Invalid parts raise pydantic's ValidationError.

    Docker Hub's official images are put under `library/`. `pushed_at` is the sender's time, None where it sends none;
    `digest` likewise. `proof` is how far it is proven, None in messages of earlier versions.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    sender: Text
    registry: Annotated[str, AfterValidator(check_registry)]
    repository: str
    tag: Annotated[str, AfterValidator(check_tag)]
    digest: Annotated[str, AfterValidator(check_digest)] | None = None
    pushed_at: AwareDatetime | None = None
    pusher: Text | None = None
    proof: Proof | None = Field(None, exclude_if=lambda proof: proof is None)

    @field_validator("repository")
    @classmethod
    def _in_full(cls, repository: str, others: ValidationInfo) -> str:
        # An invalid registry is not among the other fields. Its own error is told then.
        return check_repository_at(others.data.get("registry", ""), repository)

    @classmethod
    def of(cls, sender: str, image: ImageReference, **rest: object) -> Push:
        """The push of `image`, which carries a tag; `rest` is pushed_at, pusher and proof. Raises ValidationError."""
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
        """The push, made when it was received if it claims a later time: no clock of a sender outranks a push."""
        if self.pushed_at is None or self.pushed_at <= received_at:
            return self
        return self.model_copy(update={"pushed_at": received_at})

    def order(self, received_at: datetime) -> tuple[datetime, datetime]:
        """What two pushes are compared by: when it was pushed, which is not after its arrival; then when it arrived."""
        return min(self.pushed_at or received_at, received_at), received_at
