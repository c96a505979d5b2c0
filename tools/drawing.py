"""The picture of the house: an SVG of floors, rooms and arrows, without a library."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

WIDTH, FLOOR, MARGIN = 860, 96, 20
BOX_WIDTH, BOX_HEIGHT = 150, 40
ASIDE = 110
LABEL = 70
"""The width at the left that the floors' numbers take."""

_STYLE = """
  text { font: 15px Arial, Helvetica; text-anchor: middle; dominant-baseline: central; fill: #1f2933 }
  .floor { fill: #f2f5f8 } .number { fill: #7b8794 } .room { fill: #fff; stroke: #3e4c59; stroke-width: 1.5 }
  .arrow { fill: none; stroke: #1f5f8b; stroke-width: 1.6; marker-end: url(#head) }
  .implied { fill: none; stroke: #b8c4ce; stroke-width: 1; marker-end: url(#pale) }
"""
_HEADS = "".join(
    f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    f'<path d="M0 0 8 4 0 8z" fill="{colour}"/></marker>'
    for name, colour in (("head", "#1f5f8b"), ("pale", "#b8c4ce"))
)


@dataclass(frozen=True)
class Box:
    """A room's place: the middle of it across, and its upper edge."""

    middle: float
    top: float


def picture(
    floors: Sequence[Sequence[str]], imported_by: Callable[[str], tuple[str, ...]]
) -> str:
    """The SVG of these floors, highest first; `imported_by` gives the rooms that a room imports."""
    boxes = {
        room: box
        for row, floor in enumerate(floors)
        for room, box in _places(row, floor)
    }
    height = len(floors) * FLOOR + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img">',
        "<title>The rooms of worker/, by floor</title>",
        f"<style>{_STYLE}</style>",
        f"<defs>{_HEADS}</defs>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        *_floors(len(floors)),
        *_arrows(boxes, imported_by),
        *(_room(room, box) for room, box in boxes.items()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def is_implied(
    room: str, other: str, imported_by: Callable[[str], tuple[str, ...]]
) -> bool:
    """Does another room that `room` imports lead to `other` too? Such an arrow tells a reader little that is new."""
    return any(
        _leads_to(between, other, imported_by)
        for between in imported_by(room)
        if between != other
    )


def _leads_to(
    room: str, other: str, imported_by: Callable[[str], tuple[str, ...]]
) -> bool:
    return any(
        next_room == other or _leads_to(next_room, other, imported_by)
        for next_room in imported_by(room)
    )


def _places(row: int, floor: Sequence[str]) -> Iterator[tuple[str, Box]]:
    top = MARGIN + row * FLOOR + (FLOOR - BOX_HEIGHT) / 2
    share = (WIDTH - LABEL) / len(floor)
    # A room that has a floor for itself stands aside, now left and now right, so that arrows to other floors pass it
    # instead of seeming to begin or end there.
    aside = 0.0 if len(floor) > 1 else ASIDE * (-1) ** row
    for place, room in enumerate(floor):
        yield room, Box(LABEL + share * (place + 0.5) + aside, top)


def _floors(count: int) -> Iterator[str]:
    for row in range(count):
        top = MARGIN + row * FLOOR + 4
        yield f'<rect class="floor" x="{MARGIN}" y="{top}" width="{WIDTH - 2 * MARGIN}" height="{FLOOR - 8}" rx="6"/>'
        yield f'<text class="number" x="{MARGIN + 22}" y="{top + (FLOOR - 8) / 2:g}">{count - row}</text>'


def _arrows(
    boxes: dict[str, Box], imported_by: Callable[[str], tuple[str, ...]]
) -> Iterator[str]:
    """The pale ones first, so that the dark ones lie above them."""
    arrows = [(room, other) for room in boxes for other in imported_by(room)]
    implied = {arrow for arrow in arrows if is_implied(*arrow, imported_by)}
    for room, other in sorted(arrows, key=lambda arrow: arrow not in implied):
        kind = "implied" if (room, other) in implied else "arrow"
        yield f'<path class="{kind}" d="{_curve(boxes[room], boxes[other])}"/>'


def _curve(start: Box, end: Box) -> str:
    """From the lower edge of one room to the upper edge of the other, leaving towards where it goes."""
    lean = (
        max(-1.0, min(1.0, (end.middle - start.middle) / (WIDTH / 2))) * BOX_WIDTH / 3
    )
    x1, y1 = start.middle + lean, start.top + BOX_HEIGHT
    x2, y2 = end.middle - lean, end.top - 2
    bend = (y2 - y1) / 2
    return f"M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2:.0f}"


def _room(room: str, box: Box) -> str:
    left = box.middle - BOX_WIDTH / 2
    return (
        f'<rect class="room" x="{left:g}" y="{box.top:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5"/>'
        f'<text x="{box.middle:g}" y="{box.top + BOX_HEIGHT / 2:g}">{room}</text>'
    )
