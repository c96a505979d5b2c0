"""Single texts of the targets file, each checked on its own, with what was probably meant where one is wrong."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic import Strict as Strictly

from shared.image import ImageReference, InvalidImage, check_registry
from worker.groups import secret_paths
from worker.targets.kinds import text_schema
from worker.targets.registry_keys import check_registry_key, nearest_host, nearest_key
from worker.targets.strict import mistake

_LONGEST_CONTAINER = 63


def _check_image(text: str) -> str:
    try:
        image = ImageReference.parse(text)
    except InvalidImage as error:
        # Capitals are the likeliest mistake: a repository has none, but an owner's name on GitHub may have some.
        in_lower_case = text.lower()
        nearest = in_lower_case if _is_image(in_lower_case) else None
        raise mistake(str(error), nearest) from None
    if image.tag or image.digest:
        raise mistake(
            "name the repository alone: the policy chooses the tag", image.name
        )
    return text


def _is_image(text: str) -> bool:
    try:
        ImageReference.parse(text)
    except InvalidImage:
        return False
    return True


def _check_registry_key(text: str) -> str:
    try:
        return check_registry_key(text)
    except InvalidImage as error:
        raise mistake(str(error), nearest_key(text)) from None


def _check_host(text: str) -> str:
    try:
        return check_registry(text)
    except InvalidImage as error:
        raise mistake(str(error), nearest_host(text)) from None


def _check_container(text: str) -> str:
    # Azure's own rule for names of containers, so that a mistake shows now and not in a dead letter.
    if re.fullmatch(secret_paths.CONTAINER, text) and len(text) <= _LONGEST_CONTAINER:
        return text
    nearest = text.lower().replace("_", "-")
    is_name = re.fullmatch(secret_paths.CONTAINER, nearest)
    what = f"{text[:80]!r} can't be a container: lower-case letters, digits and -, at most {_LONGEST_CONTAINER}"
    raise mistake(what, nearest if is_name else None)


def _check_secret_path(text: str) -> str:
    if not re.fullmatch(secret_paths.PATTERN, text):
        raise mistake(
            f"not the path of a secret: {secret_paths.FORMS}",
            secret_paths.nearest_path(text),
        )
    return text


ImageText = Annotated[
    str,
    AfterValidator(_check_image),
    text_schema(examples=["acme/shop-worker", "ghcr.io/acme/shop"]),
]


def _as_switch(text: object) -> object:
    return {"true": True, "false": False}.get(str(text), text)


# Scalars of the file are read as texts. Data that a YAML library has loaded already contains booleans. Strictly: by
# itself pydantic takes yes, on and 1 for true, which other programs that read the file may not.
Switch = Annotated[
    bool,
    BeforeValidator(_as_switch),
    Strictly(),
    WithJsonSchema({"enum": [True, False, "true", "false"]}),
]
RegistryKeyText = Annotated[
    str,
    AfterValidator(_check_registry_key),
    text_schema(pattern=r"^[^/\s]+(/[^/\s]+)*$"),
]
HostText = Annotated[
    str, AfterValidator(_check_host), text_schema(pattern=r"^[^/\s]+$")
]
ContainerText = Annotated[
    str,
    AfterValidator(_check_container),
    text_schema(pattern=f"^{secret_paths.CONTAINER}$"),
]
SecretPathText = Annotated[
    str, AfterValidator(_check_secret_path), text_schema(pattern=secret_paths.PATTERN)
]
