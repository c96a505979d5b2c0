"""`python -m tests.pictures`: pictures of the status page for docs/, on a desk and a phone, light and dark."""

from __future__ import annotations

import itertools
import struct
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.azurite import Azurite
from tests.browser import Browser
from tests.night import night
from tests.processes import PROJECT

SCREENS = {"desktop": (1440, 900), "phone": (390, 844)}
_COLOURS = 256
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def main() -> None:
    """Take them."""
    with (
        Azurite() as azurite,
        tempfile.TemporaryDirectory() as folder,
        night(azurite, Path(folder)) as served,
        Browser() as browser,
    ):
        for screen, dark in itertools.product(SCREENS, (False, True)):
            width, height = SCREENS[screen]
            tab = browser.tab(width=width, height=height, dark=dark)
            tab.open(f"{served.url}/")
            tab.wait_for("document.querySelectorAll('.badge.reading').length === 0")
            tab.wait_for("document.querySelectorAll('.badge.trouble').length === 1")
            picture = PROJECT / "docs" / f"dashboard-{screen}-{'dark' if dark else 'light'}.png"
            tab.picture(picture)
            picture.write_bytes(smaller(picture.read_bytes()))
            print(f"{picture.relative_to(PROJECT)}: {picture.stat().st_size // 1024} KB")


def smaller(png: bytes) -> bytes:
    """The picture with 256 colours: of a page of text nobody sees a difference, and it is a third of the size."""
    chunks = dict(_chunks(png))
    width, height, _depth, kind = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    size = {2: 3, 6: 4}[kind]
    rows = list(_rows(zlib.decompress(chunks[b"IDAT"]), width * size, size))
    pixels = [[bytes(row[at : at + 3]) for at in range(0, len(row), size)] for row in rows]
    palette = [colour for colour, _ in Counter(pixel for row in pixels for pixel in row).most_common(_COLOURS)]
    number = {colour: index for index, colour in enumerate(palette)}
    for colour in {pixel for row in pixels for pixel in row} - number.keys():
        number[colour] = min(range(len(palette)), key=lambda index: _distance(palette[index], colour))
    data = b"".join(b"\0" + bytes(number[pixel] for pixel in row) for row in pixels)
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0),
        b"PLTE": b"".join(palette),
        b"IDAT": zlib.compress(data, 9),
        b"IEND": b"",
    }
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts.items()
    )


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG by their names, those of one name as one (https://www.w3.org/TR/png-3/)."""
    found: dict[bytes, bytes] = {}
    at = len(_SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        name = png[at + 4 : at + 8]
        found[name] = found.get(name, b"") + png[at + 8 : at + 8 + length]
        at += 12 + length
    yield from found.items()


def _rows(data: bytes, length: int, size: int) -> Iterator[bytearray]:
    """The rows of pixels, their filters undone."""
    above = bytearray(length)
    for start in range(0, len(data), length + 1):
        row = bytearray(data[start + 1 : start + 1 + length])
        for at in range(length):
            left, up = (row[at - size], above[at]) if at >= size else (0, above[at])
            corner = above[at - size] if at >= size else 0
            row[at] = (row[at] + _predicted(data[start], left, up, corner)) & 255
        yield row
        above = row


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind < 4:
        return (0, left, up, (left + up) // 2)[kind]
    guess = left + up - corner
    return min((left, up, corner), key=lambda item: abs(guess - item))


def _distance(one: bytes, other: bytes) -> int:
    return sum((mine - yours) ** 2 for mine, yours in zip(one, other, strict=True))


if __name__ == "__main__":
    main()
