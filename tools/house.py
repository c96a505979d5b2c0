"""Draws the rooms, floors and import arrows of worker/ into the documentation, and finds circles between rooms.

The floors are those of the contract in pyproject.toml, so the picture and `lint-imports` can't disagree. `make check`
runs this with `--check`: it fails on a circle, and when the drawing in the documentation is not the one of the code.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grimp

from tools.drawing import picture

PROJECT = Path(__file__).resolve().parents[1]
PAGE = Path("docs/architecture.md")
PICTURE = Path("docs/house.svg")
BEGIN, END = (
    "<!-- drawn by `make house`: begin -->",
    "<!-- drawn by `make house`: end -->",
)

WORKER = "worker"
ROOTS = ("ingress", "worker", "shared")
OUTSIDE = ("ingress", "shared")
"""Rooms of their own, which have no floor in the worker. Everything imports shared: it is left out of the drawing."""

Import = tuple[str, str]
"""The module that imports, and the module that is imported."""


@dataclass(frozen=True)
class House:
    """The floors, highest first, each with its rooms; and the imports behind each arrow from room to room."""

    floors: tuple[tuple[str, ...], ...]
    arrows: Mapping[tuple[str, str], tuple[Import, ...]]

    @property
    def rooms(self) -> tuple[str, ...]:
        """All rooms, from the highest floor to the lowest."""
        return tuple(room for floor in self.floors for room in floor)

    def imported_by(self, room: str) -> tuple[str, ...]:
        """The rooms that this one imports, from the highest floor to the lowest."""
        return tuple(other for other in self.rooms if (room, other) in self.arrows)


def room_of(module: str) -> str:
    """The room of a module: the folder or the file right in worker/; ingress and shared are one room each."""
    root, *inside = module.split(".")
    return inside[0] if root == WORKER and inside else root


def read_house(pyproject: Mapping[str, Any], imports: Iterator[Import]) -> House:
    """The house of these contracts and these imports between modules."""
    contracts = pyproject["tool"]["importlinter"]["contracts"]
    layers = next(
        contract["layers"]
        for contract in contracts
        if contract["name"].startswith("the worker has floors")
    )
    floors = tuple(
        tuple(room_of(module.strip()) for module in layer.split("|"))
        for layer in layers
    )
    arrows: dict[tuple[str, str], list[Import]] = {}
    for importer, imported in sorted(imports):
        arrow = room_of(importer), room_of(imported)
        if arrow[0] != arrow[1]:
            arrows.setdefault(arrow, []).append((importer, imported))
    return House(floors, {arrow: tuple(behind) for arrow, behind in arrows.items()})


def imports_of(*roots: str) -> Iterator[Import]:
    """Every import of one module of these packages by another."""
    graph = grimp.build_graph(*roots, cache_dir=None)
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            yield importer, imported


def find_circle(house: House) -> list[str] | None:
    """Rooms that import each other in a circle, its first one named again as the last; None if there is none."""
    imported: dict[str, list[str]] = {}
    for room, other in sorted(house.arrows):
        imported.setdefault(room, []).append(other)
    done: set[str] = set()

    def walk(room: str, way: list[str]) -> list[str] | None:
        if room in way:
            return [*way[way.index(room) :], room]
        if room in done:
            return None
        for other in imported.get(room, []):
            if circle := walk(other, [*way, room]):
                return circle
        done.add(room)
        return None

    return next(
        (circle for room in sorted(imported) if (circle := walk(room, []))), None
    )


def explain(house: House, circle: list[str]) -> str:
    """The circle with an import for each of its arrows, so that a reader knows which line to look at."""
    lines = [f"the rooms {' -> '.join(circle)} import each other in a circle:"]
    for arrow in itertools.pairwise(circle):
        importer, imported = house.arrows[arrow][0]
        lines.append(f"  {importer} imports {imported}")
    return "\n".join(lines)


def text_of(house: House) -> str:
    """The drawing as Markdown: the picture, and the same as a table."""
    drawn = [arrow for arrow in house.arrows if not set(arrow) & set(OUTSIDE)]
    rows = [
        f"| {len(house.floors) - row} | `{room}` | {', '.join(house.imported_by(room)) or '-'} |"
        for row, floor in enumerate(house.floors)
        for room in floor
    ]
    summary = (
        f"{len(house.rooms)} rooms on {len(house.floors)} floors, {len(drawn)} arrows."
    )
    legend = "A pale arrow follows from dark ones: it leads to a room that they lead to as well."
    return "\n".join(
        [
            BEGIN,
            "",
            f"![The rooms of worker/ by floor, with an arrow from each room to those it imports]({PICTURE.name})",
            "",
            f"{summary} {legend}",
            "",
            "| floor | room | imports |",
            "|---|---|---|",
            *rows,
            "",
            END,
        ]
    )


def redraw(page: str, drawing: str) -> str:
    """The page with this drawing between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + drawing + after


def main() -> None:
    """Draw; or with --check, compare."""
    parser = argparse.ArgumentParser(prog="python -m tools.house", description=__doc__)
    parser.add_argument(
        "--check",
        action="store_true",
        help="fail if the documentation shows another drawing",
    )
    check = parser.parse_args().check
    house = read_house(
        tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8")),
        imports_of(*ROOTS),
    )
    if circle := find_circle(house):
        sys.exit(explain(house, circle))
    drawn = {
        PICTURE: picture(house.floors, house.imported_by),
        PAGE: redraw((PROJECT / PAGE).read_text(encoding="utf-8"), text_of(house)),
    }
    stale = [path for path, text in drawn.items() if not _is_drawn(path, text)]
    if check and stale:
        sys.exit(
            f"{' and '.join(map(str, stale))}: the drawing is out of date; run `make house` and commit the result"
        )
    for path in stale:
        (PROJECT / path).write_text(drawn[path], encoding="utf-8")
    print(
        f"the house: {len(house.rooms)} rooms on {len(house.floors)} floors, no circle, the drawing is up to date"
    )


def _is_drawn(path: Path, text: str) -> bool:
    file = PROJECT / path
    return file.exists() and file.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    main()
