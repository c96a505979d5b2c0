"""A first targets file for the groups that exist: their containers, a policy for each, the secrets they need. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import yaml

from shared.image import ImageReference, InvalidImage
from worker.groups.group import ContainerGroup

_VERSION = re.compile(r"v?\d+\.\d+\.\d+([.+_-].*)?", re.ASCII)
_HEAD = """\
# What aci-hooks keeps up to date: see docs/targets.md. Take out the groups and containers that it is to leave alone,
# choose the policies, and say where each secret is; then `aci-hooks check`.
targets:
"""


def starter(groups: Sequence[ContainerGroup], default_subscription: str | None) -> str:
    """The text of a targets file with every one of these groups."""
    if not groups:
        return "# No container group exists there.\ntargets: []\n"
    ordered = sorted(groups, key=lambda group: group.id.key)
    return _HEAD + "".join(line + "\n" for group in ordered for line in _lines(group, default_subscription))


def _lines(group: ContainerGroup, default_subscription: str | None) -> Iterator[str]:
    yield f"  - container_group: {_text(group.id.container_group)}"
    yield f"    resource_group: {_text(group.id.resource_group)}"
    if group.id.subscription != default_subscription:
        yield f"    subscription: {_text(group.id.subscription)}"
    yield "    containers:"
    for name, image in group.images.items():
        yield f"      {_text(name)}: {{policy: {_text(_policy(image))}}} # runs {_comment(image)}"
    if withheld := group.withheld():
        yield "    secrets: # Azure never gives these back, and an update must carry them"
        for withheld_path in withheld:
            # Azure does not even say what the files of a secret volume are called.
            path = withheld_path.replace("<file>", "FILE-NAME")
            yield f"      {_text(path)}: {_text(_source(path))}"


def _policy(image: str) -> str:
    """Versions of one major for a version; for anything else the tag that runs, whenever it is pushed again."""
    try:
        tag = ImageReference.parse(image).followed_tag
    except InvalidImage:
        tag = None
    return "semver:minor" if tag and _VERSION.fullmatch(tag) else "same-tag"


def _source(path: str) -> str:
    """Where the secret may be: a file for what a volume holds, else a variable that is named after it."""
    if path.startswith("volume/") or path.endswith("protectedSettings"):
        return f"file:/run/secrets/{re.sub(r'[^A-Za-z0-9.-]+', '-', path.removeprefix('volume/')).strip('-.')}"
    name = re.sub(r"[^A-Za-z0-9]+", "_", path.partition("/")[2] or path).strip("_").upper()
    return f"env:{name}"


def _text(text: str) -> str:
    """A text as YAML writes it in a line."""
    dumped: str = yaml.safe_dump(text, default_style=None, width=10_000, allow_unicode=True)
    return dumped.removesuffix("\n").removesuffix("\n...").strip()


def _comment(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
