"""Checks the prose: of the documentation, and of the texts, docstrings and comments of the code.

proselint knows the usual slips of English. RIDDLES are wordings of this project that readers had to read twice. The
documentation's lines are at most 120 columns long; `--wrap` breaks the paragraphs that are not.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import textwrap
import tokenize
from collections.abc import Iterator
from pathlib import Path

from proselint import checks as proselint_checks
from proselint.config import DEFAULT, Config
from proselint.registry import CheckRegistry
from proselint.tools import LintFile

PROJECT = Path(__file__).resolve().parents[1]
WIDTH = 120
PAGES = ("*.md", "docs/*.md", ".github/**/*.md")
CODE = ("ingress/**/*.py", "worker/**/*.py", "shared/**/*.py", "tools/**/*.py")

RIDDLES = {
    r"\banew\b": "again, or afresh",
    r"\bmade good\b": "corrected, or retried",
    r"\bmend(s|ed|ing)?\b": "correct, repair or restore",
    r"\bis none of (its|their|ours)\b": "is not one of",
    r"\bin somebody else's hands\b": "being processed by another worker",
    r"\bthat (it|they) ha(s|ve) not\b": "unknown, or missing",
    r"\blies in the\b": "is in the",
    r"\bthat is none of an?\b": "that is not among",
    r"\bwhat a missing \w+ proves is nothing\b": "a missing … proves nothing",
}
"""Wordings that are not to be used, and what is better."""

# Quotation marks stay as a keyboard types them; a heading that opens the next sentence is no repetition; "the very
# image" and "on the same page" mean what they say.
_OFF = {
    "typography": False,
    "lexical_illusions": False,
    "cliches": False,
    "weasel_words": False,
}
_FENCE = re.compile(r"^ *(```|~~~)")
_INLINE = re.compile(
    r"`[^`]*`|\]\([^)]*\)|<[^>]*>|\$\{\{.*?\}\}|\b\w+(?:[.-]\w+)*\.\w+"
)
_RAW = re.compile(r"[bf]?r[bf]?['\"]", re.IGNORECASE)
_STRING_PREFIX = re.compile(r"^\w*(\"\"\"|'''|\"|')")
_UNWRAPPED = re.compile(r"^\s*(#|\||<|!\[|```|---|\[[^\]]+\]:)")
_ITEM = re.compile(r"^(\s*)([-*]|\d+\.) ")


def prose_of_page(text: str) -> str:
    """The page's prose, each line at its place: code, links' targets and HTML are blank."""
    lines, in_fence = [], False
    for line in text.split("\n"):
        is_fence = bool(_FENCE.match(line))
        lines.append(
            "" if in_fence or is_fence else _INLINE.sub(" ", line).replace("|", " ")
        )
        in_fence ^= is_fence
    return "\n".join(lines)


def prose_of_code(text: str) -> str:
    """Strings and comments of some Python, each line at its place: all else is blank, regular expressions included."""
    lines = [""] * (text.count("\n") + 2)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        is_text = token.type in (
            tokenize.STRING,
            tokenize.COMMENT,
            getattr(tokenize, "FSTRING_MIDDLE", None),
        )
        is_pattern = token.type == tokenize.STRING and _RAW.match(token.string)
        if is_text and not is_pattern:
            for offset, part in enumerate(
                _STRING_PREFIX.sub("", token.string).split("\n")
            ):
                lines[token.start[0] - 1 + offset] += " " + _INLINE.sub(
                    " ", part
                ).rstrip("\"'")
    return "\n".join(lines)


def slips(prose: str) -> Iterator[tuple[int, str]]:
    """Line and reason of each slip of English in it."""
    if not prose.strip():
        return
    wanted = Config(max_errors=DEFAULT["max_errors"], checks=DEFAULT["checks"] | _OFF)
    for result in LintFile("prose", prose).lint(wanted):
        yield result.pos[0], result.check_result.message
    for number, line in enumerate(prose.split("\n"), start=1):
        for riddle, better in RIDDLES.items():
            if found := re.search(riddle, line, re.IGNORECASE):
                yield number, f"'{found[0]}' is hard to read; better: {better}"


def long_lines(text: str) -> Iterator[tuple[int, str]]:
    """Line and reason of each line that is too long, but for those that can't be broken: code, tables, addresses."""
    in_fence = False
    for number, line in enumerate(text.split("\n"), start=1):
        in_fence ^= bool(_FENCE.match(line))
        can_be_broken = (
            not in_fence and not _UNWRAPPED.match(line) and " " in line.strip()[:WIDTH]
        )
        if can_be_broken and len(line) > WIDTH:
            yield (
                number,
                f"the line has {len(line)} columns, {WIDTH} are allowed; `make format` breaks it",
            )


def wrap(text: str) -> str:
    """The page with every paragraph wrapped again that has too long a line."""
    return "\n".join(
        line
        for block, is_prose in _blocks(text)
        for line in (_wrapped(block) if is_prose else block)
    )


def _blocks(text: str) -> Iterator[tuple[list[str], bool]]:
    """The page's paragraphs and list items, with True; and every line of code, tables and headings, with False."""
    block: list[str] = []
    in_fence = False
    for line in text.split("\n"):
        is_fence = bool(_FENCE.match(line))
        stands_alone = (
            in_fence or is_fence or bool(_UNWRAPPED.match(line)) or not line.strip()
        )
        if block and (stands_alone or _ITEM.match(line)):
            yield block, True
            block = []
        if stands_alone:
            yield [line], False
        else:
            block.append(line)
        in_fence ^= is_fence
    if block:
        yield block, True


def _wrapped(block: list[str]) -> list[str]:
    if all(len(line) <= WIDTH for line in block):
        return block
    item = _ITEM.match(block[0])
    indent = block[0][: len(block[0]) - len(block[0].lstrip())]
    hanging = " " * len(item[0]) if item else indent
    words = " ".join(line.strip() for line in block)
    return textwrap.wrap(
        words,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def complaints() -> Iterator[str]:
    """Everything that is wrong, as `path:line: reason`."""
    for path in _files(PAGES):
        text = path.read_text(encoding="utf-8")
        yield from (
            _complaint(path, *found)
            for found in (*long_lines(text), *slips(prose_of_page(text)))
        )
    for path in _files(CODE):
        yield from (
            _complaint(path, *found)
            for found in slips(prose_of_code(path.read_text(encoding="utf-8")))
        )


def main() -> None:
    """Check; or with --wrap, break long lines."""
    parser = argparse.ArgumentParser(prog="python -m tools.prose", description=__doc__)
    parser.add_argument(
        "--wrap",
        action="store_true",
        help="break the paragraphs that have too long a line",
    )
    if parser.parse_args().wrap:
        for path in _files(PAGES):
            path.write_text(wrap(path.read_text(encoding="utf-8")), encoding="utf-8")
        return
    CheckRegistry().register_many(proselint_checks.__register__)
    found = list(complaints())
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(f"prose: {len(found)} to be corrected" if found else 0)


def _files(patterns: tuple[str, ...]) -> list[Path]:
    return [path for pattern in patterns for path in sorted(PROJECT.glob(pattern))]


def _complaint(path: Path, line: int, reason: str) -> str:
    return f"{path.relative_to(PROJECT)}:{line}: {reason}"


if __name__ == "__main__":
    main()
