"""The base of the targets file's models, and the errors that their validators raise.

worker.targets.mistakes turns every error into a line for the person who wrote the file.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

MISTAKE = "mistake"
"""The type of the models' own validation errors; `nearest` in their context may say what was meant."""


class Strict(BaseModel):
    """A mapping of the file that allows only known keys."""

    # An unknown key is a mistake: a misspelt `secrets` would otherwise show only when a rollout fails. Inputs are
    # hidden because a secret may have been written where its source belongs.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def mistake(what: str, nearest: str | None = None) -> PydanticCustomError:
    """A validation error that says what is wrong, and what may have been meant."""
    return PydanticCustomError(MISTAKE, "{what}", {"what": what, "nearest": nearest})
