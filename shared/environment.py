"""Reading settings from environment variables: `X` or the file named by `X_FILE`, every problem at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from shared.settings import variables

Model = TypeVar("Model", bound=BaseModel)

SENDER_SECRET = "ACI_HOOKS_SECRET_"  # noqa: S105 - the beginning of a variable's name
_FILE = "_FILE"
_LAST_NEWLINE = re.compile(r"\r?\n\Z")


class SettingsError(Exception):
    """The environment does not configure the program; `problems` has a line for each thing to mend."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_settings(model: type[Model], environment: Mapping[str, str]) -> Model:
    """Build `model`, whose fields' aliases are variables' names; raises SettingsError with every problem.

    An empty variable or file counts as unset. `ACI_HOOKS_SECRET_<SENDER>` variables are gathered in `sender_secrets`,
    if the model has such a field. Nothing else of the environment is looked at, and no other file read.
    """
    known = set(variables(model))
    prefix = (SENDER_SECRET,) if "sender_secrets" in model.model_fields else ()
    given, problems = _resolve_files(environment, lambda name: name in known or name.startswith(prefix))
    secrets = {
        name.removeprefix(SENDER_SECRET).lower(): value
        for name, value in given.items()
        if name.startswith(SENDER_SECRET)
    }
    values: dict[str, object] = {**given, "sender_secrets": secrets}
    while True:
        try:
            settings = model.model_validate(values)
        except ValidationError as error:
            found = [(one["loc"], _message(one)) for one in error.errors()]
            problems += _new(problems, found)
            bad = {str(location[0]) for location, _ in found if location}
            # Checks across fields run only once every field is valid: set the bad ones aside and look again.
            values = {name: value for name, value in values.items() if name not in bad}
            if bad:
                continue
        if problems:
            raise SettingsError(problems)
        return settings


def misspelt(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """A warning for each variable that looks like one of ours and is none, with the nearest name that is."""
    known = set(known)
    warnings = []
    for name in sorted(names):
        plain = name.removesuffix(_FILE)
        if not name.startswith("ACI_HOOKS_") or name.startswith(SENDER_SECRET) or plain in known:
            continue
        near = difflib.get_close_matches(plain, known, n=1)
        warnings.append(f"{name} is not a setting{f'; did you mean {near[0]}?' if near else ''}")
    return warnings


def _resolve_files(
    environment: Mapping[str, str], is_setting: Callable[[str], bool]
) -> tuple[dict[str, str], list[str]]:
    values, problems = {}, []
    for name, text in environment.items():
        setting = name.removesuffix(_FILE)
        if not text or not is_setting(setting):
            continue
        if setting == name:
            values[name] = text
        elif environment.get(setting):
            problems.append(f"{setting}: given twice, as {setting} and as {name}; keep one of them")
        else:
            try:
                content = _LAST_NEWLINE.sub("", Path(text).read_bytes().decode("utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                problems.append(f"{name}: cannot read {text!r}: {error}")
                continue
            if content:
                values[setting] = content
    return values, problems


def _new(problems: list[str], found: list[tuple[tuple[int | str, ...], str]]) -> list[str]:
    named = {problem.partition(":")[0].partition(" ")[0] for problem in problems}
    lines = [line for location, message in found for line in _explain(location, message).splitlines()]
    return [line for line in lines if line.partition(":")[0] not in named]


def _message(error: Any) -> str:
    """What one of pydantic's errors says; of a value that is none of a few, which they are and which is near."""
    if error["type"] != "literal_error":
        return str(error["msg"])
    known = {one.lower(): one for one in re.findall(r"'([^']+)'", error["ctx"]["expected"])}
    near = difflib.get_close_matches(str(error["input"]).lower(), known, 1)
    return f"must be one of {', '.join(known.values())}{f'; did you mean {known[near[0]]}?' if near else ''}"


def _explain(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    if not location:
        return message
    name, *rest = (str(part) for part in location)
    if name == "sender_secrets" and rest:
        name = SENDER_SECRET + rest.pop(0).upper()
    place = f" (entry {int(rest[0]) + 1})" if rest and rest[0].isdigit() else ""
    return f"{name}{place}: {message}"
