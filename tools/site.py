"""MkDocs' hooks: the pages that lie beside docs/ belong to the site too, and their links lead to the pages there."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PROJECT = Path(__file__).resolve().parents[1]
BESIDE = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "CODE_OF_CONDUCT.md",
)
"""Pages that GitHub looks for outside of docs/."""

_LINK = re.compile(r"\[(?P<text>[^\[\]]*)\]\((?P<path>[\w./-]+)(?P<anchor>#[\w-]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The address of the project, if pyproject.toml says one."""
    pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    config.repo_url = pyproject["project"].get("urls", {}).get("Repository")
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """The pages beside docs/ join those of docs/; `config` knows where they are built."""
    for name in BESIDE:
        files.append(
            File.generated(
                config, name, content=(PROJECT / name).read_text(encoding="utf-8")
            )
        )
    return files


def on_page_markdown(
    markdown: str, *, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """The page with links as the site needs them."""
    return unfence(
        relink(markdown, is_beside=page.file.src_uri in BESIDE, source=config.repo_url)
    )


def relink(markdown: str, *, is_beside: bool, source: str | None) -> str:
    """Links between docs/ and the pages beside it lead to the site, those to other files to `source`.

    Without a `source` only the text of the latter is left: the site does not contain these files.
    """

    def link(match: re.Match[str]) -> str:
        text, path, anchor = match["text"], match["path"], match["anchor"] or ""
        from_root = path if is_beside else path.removeprefix("../")
        if from_root in BESIDE:
            return f"[{text}]({from_root}{anchor})"
        if is_beside and from_root.startswith("docs/"):
            return f"[{text}]({from_root.removeprefix('docs/')}{anchor})"
        leaves_docs = is_beside or path.startswith("../")
        if leaves_docs and (PROJECT / from_root).exists():
            return (
                f"[{text}]({source.rstrip('/')}/blob/main/{from_root}{anchor})"
                if source
                else text
            )
        return match[0]

    return _LINK.sub(link, markdown)


def unfence(markdown: str) -> str:
    """The same with what stands under a list item indented by four columns, and without fences there.

    GitHub takes three columns and a fence. Python-Markdown wants four, and knows no fence but at the left edge.
    """
    return "\n".join(_unfenced(markdown.split("\n")))


def _unfenced(lines: list[str]) -> Iterator[str]:
    fence = ""
    for line in lines:
        is_fence = line.lstrip().startswith("```")
        indent = line[: len(line) - len(line.lstrip())]
        if is_fence:
            fence = "" if fence else indent + "```"
            yield line if not indent else ""
        elif fence.startswith(" "):
            yield f"        {line.removeprefix(fence[:-3])}" if line.strip() else ""
        elif not fence and indent == "   ":
            yield f" {line}"
        else:
            yield line
