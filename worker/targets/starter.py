"""A first targets file for the groups that exist: their containers, with policies, and the secrets they need. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import yaml

from shared.image import ImageReference, InvalidImage
from shared.printable import printable_line
from worker.groups.group import ContainerGroup

_VERSION = re.compile(r"v?\d+\.\d+\.\d+([.+_-].*)?", re.ASCII)
_HEAD = """\
# What aci-hooks keeps up to date: see docs/targets.md. Remove the groups and containers that it must not change,
# choose the policies, and say where each secret is; then run `aci-hooks check`.
targets:
"""


def starter(groups: Sequence[ContainerGroup], default_subscription: str | None) -> str:
    """The text of a targets file with every one of these groups."""
    if not groups:
        return "# No container group was found.\ntargets: []\n"
    lines: list[str] = []
    for group in sorted(groups, key=lambda group: group.id.key):
        lines += _lines(group, default_subscription)
    # Not yaml.dump, which can't write comments.
    return _HEAD + "".join(f"{line}\n" for line in lines)


def _lines(group: ContainerGroup, default_subscription: str | None) -> Iterator[str]:
    yield f"  - container_group: {_text(group.id.container_group)}"
    yield f"    resource_group: {_text(group.id.resource_group)}"
    if group.id.subscription != default_subscription:
        yield f"    subscription: {_text(group.id.subscription)}"
    yield "    containers:"
    for name, image in group.images.items():
        yield f"      {_text(name)}: {{policy: {_text(_policy(image))}}} # runs {_comment(image)}"
    if withheld := group.withheld():
        yield "    secrets: # Azure never returns these, and an update must contain them"
        for withheld_path in withheld:
            # Azure does not even return the names of a secret volume's files.
            path = withheld_path.replace("<file>", "FILE-NAME")
            yield f"      {_text(path)}: {_text(_source(path))}"


def _policy(image: str) -> str:
    """For a version, semver:minor; for anything else the running tag, whenever it is pushed again."""
    try:
        tag = ImageReference.parse(image).followed_tag
    except InvalidImage:
        tag = None
    return "semver:minor" if tag and _VERSION.fullmatch(tag) else "same-tag"


def _source(path: str) -> str:
    """Where the secret may be: a file for the content of a volume, else a variable named after it."""
    if path.startswith("volume/") or path.endswith("protectedSettings"):
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", path.removeprefix("volume/"))
        return f"file:/run/secrets/{name.strip('-.')}"
    name = re.sub(r"[^A-Za-z0-9]+", "_", path.partition("/")[2] or path)
    return f"env:{name.strip('_').upper()}"


def _text(text: str) -> str:
    """The text as a YAML scalar in one line."""
    # YAML lets marks of writing direction through; in ASCII they are escapes.
    is_safe = printable_line(text) == text
    dumped: str = yaml.safe_dump(
        text, default_style=None, width=10_000, allow_unicode=is_safe
    )
    return dumped.removesuffix("\n").removesuffix("\n...").strip()


def _comment(text: str) -> str:
    # A line break in what Azure says would end the comment, and the rest would be YAML.
    return "".join(character for character in text if character.isprintable())
