"""The text that names the source of a secret in the targets file: `env:NAME`, `file:PATH` and the like."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Annotated

from pydantic import AfterValidator

from worker.targets.kinds import text_schema
from worker.targets.strict import mistake

_SOURCE = (
    r"^(?:env:[A-Za-z_][A-Za-z0-9_]*|(?:base64)?file:[^\x00]+"
    r"|keyvault:https://[A-Za-z0-9.-]+(?::[0-9]+)?/secrets/[A-Za-z0-9-]+(?:/[A-Za-z0-9]+)?/?)$"
)
_FORMS = {
    "env": "env:NAME",
    "file": "file:/path/to/it",
    "base64file": "base64file:/path/to/it",
    "keyvault": "keyvault:https://my-vault.vault.azure.net/secrets/name",
}


def _check_source(text: str) -> str:
    """The text is never repeated: it may be the secret itself, written where its source belongs."""
    if re.fullmatch(_SOURCE, text):
        return text
    scheme, colon, _ = text.partition(":")
    if colon and scheme in _FORMS:
        raise mistake(f"not a source of a secret: write it as {_FORMS[scheme]}")
    # Only the scheme is ever repeated. Without a colon the whole text may be the secret.
    near = get_close_matches(scheme, _FORMS, 1) if colon else []
    what = "not a source of a secret, which begins with env:, file:, base64file: or keyvault:"
    raise mistake(what, f"{near[0]}:" if near else None)


SourceText = Annotated[
    str,
    AfterValidator(_check_source),
    text_schema(pattern=_SOURCE, examples=list(_FORMS.values())),
]
