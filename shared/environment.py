"""Reading settings from environment variables: `X` or the file named by `X_FILE`, every problem at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from shared.settings import variables

Model = TypeVar("Model", bound=BaseModel)

SENDER_SECRET = "ACI_HOOKS_SECRET_"  # noqa: S105 - the beginning of a variable's name
_FILE = "_FILE"
_LONG_ENOUGH = 8
_LAST_NEWLINE = re.compile(r"\r?\n\Z")
# Of pydantic's errors: docs.pydantic.dev/latest/errors/validation_errors
_MESSAGES = {
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "greater_than": "must be more than {gt:.10g}",
    "greater_than_equal": "must be at least {ge:.10g}",
    "less_than_equal": "must be at most {le:.10g}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
}


class SettingsError(Exception):
    """The environment does not configure the program; `problems` has a line for each thing to correct."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_settings(model: type[Model], environment: Mapping[str, str]) -> Model:
    """Build `model`, whose fields' aliases are variables' names; raises SettingsError with every problem.

    An empty variable or file counts as unset. `ACI_HOOKS_SECRET_<SENDER>` variables are gathered in `sender_secrets`,
    if the model has such a field. No other variable and no other file is read.
    """
    names = set(variables(model))
    takes_sender_secrets = "sender_secrets" in model.model_fields

    def is_setting(name: str) -> bool:
        return name in names or (
            takes_sender_secrets and name.startswith(SENDER_SECRET)
        )

    given, problems = _resolve_files(environment, is_setting)
    settings, found = _validate(model, {**given, "sender_secrets": _by_sender(given)})
    # A file that can't be read leaves its setting without a value, which must not be told as a second problem.
    problems += _without_named(found, {_name_in(problem) for problem in problems})
    if settings is None or problems:
        raise SettingsError(problems)
    return settings


def misspelt(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """A warning for each variable that resembles a setting but is not one, with the nearest setting's name."""
    known = set(known)
    warnings = []
    for name in sorted(names):
        setting = name.removesuffix(_FILE)
        if setting in known or name.startswith(SENDER_SECRET):
            continue
        # Any other variable may be another program's, but not one that differs from a setting in a letter.
        near = [
            other
            for other in sorted(known)
            if _is_off_by_a_letter(setting.upper(), other)
        ]
        looks_like_ours = name.startswith("ACI_HOOKS_")
        if looks_like_ours and not near:
            near = difflib.get_close_matches(setting, known, n=1)
        if looks_like_ours or near:
            hint = f"; did you mean {near[0]}?" if near else ""
            warnings.append(f"{name} is not a setting{hint}")
    return warnings


def _is_off_by_a_letter(name: str, other: str) -> bool:
    """Is one letter too many, missing, another one, or in its neighbour's place? Short names are too much alike."""
    if min(len(name), len(other)) < _LONG_ENOUGH:
        return False
    while name and other and name[0] == other[0]:
        name, other = name[1:], other[1:]
    while name and other and name[-1] == other[-1]:
        name, other = name[:-1], other[:-1]
    # What is left are the letters in which the two differ.
    is_swapped = len(name) == 2 and name == other[::-1]
    return is_swapped or max(len(name), len(other)) <= 1


def _resolve_files(
    environment: Mapping[str, str], is_setting: Callable[[str], bool]
) -> tuple[dict[str, str], list[str]]:
    """The value of each setting that is given, from its variable or its file; and what is wrong with the files."""
    values, problems = {}, []
    for name, text in environment.items():
        setting = name.removesuffix(_FILE)
        # Compose files set a variable to nothing where nobody has filled it in. So an empty one counts as unset.
        if not text or not is_setting(setting):
            continue
        names_a_file = setting != name
        if not names_a_file:
            values[setting] = text
            continue
        # Letting one of them win is tempting, but whoever changes the other one would wonder why nothing happens.
        if environment.get(setting):
            problems.append(
                f"{setting}: given twice, as {setting} and as {name}; keep one of them"
            )
            continue
        try:
            content = _content(Path(text))
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{name}: cannot read {text!r}: {error}")
            continue
        if content:
            values[setting] = content
    return values, problems


def _content(path: Path) -> str:
    # Editors and `echo` end a file with a newline, which belongs to no value. Not read_text, which changes the others.
    return _LAST_NEWLINE.sub("", path.read_bytes().decode("utf-8"))


def _by_sender(given: Mapping[str, str]) -> dict[str, str]:
    """The senders' secrets among the values, by sender: ghcr for ACI_HOOKS_SECRET_GHCR."""
    return {
        name.removeprefix(SENDER_SECRET).lower(): value
        for name, value in given.items()
        if name.startswith(SENDER_SECRET)
    }


def _validate(
    model: type[Model], values: Mapping[str, object]
) -> tuple[Model | None, list[str]]:
    """The settings, or what is wrong with them: a line for each problem.

    Pydantic runs checks across fields only if every field is valid. To report their problems too, the invalid values
    are left out, and the remaining ones are checked once more.
    """
    problems: list[str] = []
    while True:
        try:
            return model.model_validate(values), problems
        except ValidationError as error:
            errors = error.errors()
        found: list[str] = []
        for each in errors:
            found += _explain(each["loc"], _message(each)).splitlines()
        problems += _without_named(found, {_name_in(problem) for problem in problems})
        bad = {str(each["loc"][0]) for each in errors if each["loc"]}
        if not bad:
            return None, problems
        values = {name: value for name, value in values.items() if name not in bad}


def _name_in(problem: str) -> str:
    """The variable that a line of problems begins with: `NAME: …` or `NAME (entry 2): …`."""
    return problem.partition(":")[0].partition(" ")[0]


def _without_named(problems: Iterable[str], named: Collection[str]) -> list[str]:
    """The problems of other variables: an invalid value that was left out would be reported as missing, too."""
    return [problem for problem in problems if problem.partition(":")[0] not in named]


def _message(error: Any) -> str:
    """What one of pydantic's errors says, in our words."""
    if error["type"] == "literal_error":
        return _not_one_of(error["ctx"]["expected"], str(error["input"]))
    if error["type"] in _MESSAGES:
        return _MESSAGES[error["type"]].format_map(error.get("ctx", {}))
    return str(error["msg"]).removeprefix("Value error, ")


def _not_one_of(expected: str, given: str) -> str:
    """For a value that is not among the allowed ones (`'json' or 'console'`): the list, and the closest one."""
    known = {value.lower(): value for value in re.findall(r"'([^']+)'", expected)}
    near = difflib.get_close_matches(given.lower(), known, 1)
    hint = f"; did you mean {known[near[0]]}?" if near else ""
    return f"must be one of {', '.join(known.values())}{hint}"


def _explain(location: tuple[int | str, ...], message: str) -> str:
    """`NAME: message` for a place in the model. Checks of the model as a whole name the place themselves."""
    if not location:
        return message
    name, *rest = (str(part) for part in location)
    if name == "sender_secrets" and rest:
        name = SENDER_SECRET + rest.pop(0).upper()
    is_in_list = bool(rest) and rest[0].isdigit()
    place = f" (entry {int(rest[0]) + 1})" if is_in_list else ""
    return f"{name}{place}: {message}"
