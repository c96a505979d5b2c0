"""Reads YAML as plain texts, lists and mappings with their lines, and collects the problems of a targets file.

The file is composed into nodes but never constructed: no YAML tag creates an object, and a scalar stays the text that
was written (`1.10`, `on` and `2026-01-01` included; only null is None).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import yaml

LONGEST_FILE = 1024 * 1024
"""Characters of a targets file."""
# With aliases expanded: a few of them can stand for billions of nodes.
_MOST_NODES = 200_000
_DEEPEST = 20
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in (
        "str",
        "int",
        "float",
        "bool",
        "null",
        "timestamp",
        "merge",
        "value",
        "map",
        "seq",
    )
)

Data = dict[str, "Data"] | list["Data"] | str | None
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a targets file; `line` counts from 1 and is None for the file as a whole."""

    line: int | None
    where: str
    what: str
    nearest: str | None = None

    def __str__(self) -> str:
        hint = f"; did you mean `{self.nearest}`?" if self.nearest else ""
        where = f"{self.where}: " if self.where else ""
        return f"{where}{self.what}{hint}"


class TargetsError(ValueError):
    """A targets file is invalid: all its problems, by line. They never contain the value of a secret."""

    def __init__(self, name: str, problems: Iterable[Mistake]) -> None:
        self.name = name
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line or 0))
        super().__init__(name, self.problems)

    def __str__(self) -> str:
        return "\n".join(
            f"{self._place(problem)}: {problem}" for problem in self.problems
        )

    def _place(self, problem: Mistake) -> str:
        return f"{self.name}:{problem.line}" if problem.line else self.name


@dataclass
class Document:
    """The data of a YAML text, the line of each part of it, and what was wrong with the text."""

    data: Data = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Mistake] = field(default_factory=list)

    def report(self, path: Path, what: str, nearest: str | None = None) -> None:
        """Add a problem at `path`, or at the nearest part around it that was written."""
        # What is missing has no line of its own.
        outwards = [path[:end] for end in range(len(path), -1, -1)]
        line = next(
            (self.lines[place] for place in outwards if place in self.lines), None
        )
        self.problems.append(Mistake(line, spell(path), what, nearest))


def read_yaml(text: str) -> Document:
    """Read one YAML document. It contains its problems; `data` is None if it could not be read to its end."""
    document = Document()
    try:
        node = _compose(text)
        document.data = None if node is None else _Reader(document).read(node, ())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        said = " ".join(part for part in (error.context, error.problem) if part)
        # PyYAML says no more than that '\t' cannot start any token.
        if "'\\t'" in said:
            said += "; indent with spaces"
        document.problems.append(Mistake(line, "", f"not YAML: {said}"))
    except _TooMuch as error:
        document.problems.append(Mistake(None, "", str(error)))
    except RecursionError:
        document.problems.append(Mistake(None, "", "nested too deeply"))
    # PyYAML leaks errors of other kinds: chr() fails on "\\UFFFFFFFF".
    except (yaml.YAMLError, ValueError, OverflowError):
        what = "not YAML: it contains a character that YAML does not allow"
        document.problems.append(Mistake(None, "", what))
    return document


def _compose(text: str) -> yaml.Node | None:
    if len(text) > LONGEST_FILE:
        raise _TooMuch(f"the file has more than {LONGEST_FILE} characters")
    return yaml.compose(text, Loader=yaml.SafeLoader)


class _TooMuch(Exception):
    """Reading the rest would cost too much."""


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0

    def read(self, node: yaml.Node, path: Path) -> Data:
        # Counted while reading, and not by the length of the text: an alias of an alias of an alias is short as a text,
        # and huge once it is read ("billion laughs").
        self._nodes += 1
        if self._nodes > _MOST_NODES or len(path) > _DEEPEST:
            raise _TooMuch(
                "too many values, or nested too deeply: do its aliases repeat one another?"
            )
        # A value that an alias repeats keeps the line where its key was written.
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if node.tag not in _PLAIN_TAGS:
            self._document.report(
                path, f"YAML tags such as {node.tag} are not supported"
            )
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.read(element, (*path, index))
                for index, element in enumerate(node.value)
            ]
        return None if node.tag.endswith(":null") else str(node.value)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> Data:
        data: dict[str, Data] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self._document.problems.append(
                    Mistake(line, spell(path), "a key must be a string")
                )
                continue
            here = (*path, key.value)
            # YAML forbids a key twice, but PyYAML takes the last one and says nothing.
            if key.value in data:
                first = self._document.lines[here]
                self._document.problems.append(
                    Mistake(line, spell(here), f"given twice, first in line {first}")
                )
                continue
            self._document.lines[here] = line
            data[key.value] = self.read(value, here)
        return data


def spell(path: Path) -> str:
    """A path as people write it: `targets[0].containers.web`, `secrets["env/web/PASSWORD"]`."""
    return "".join(_spell_part(part) for part in path).removeprefix(".")


def _spell_part(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    # `<<` is a merge key, which this file's reader does not merge: it is told as any unknown key.
    is_plain = re.fullmatch(r"[\w<-]+", part, re.ASCII)
    return f".{part}" if is_plain else f"[{json.dumps(part[:80])}]"
