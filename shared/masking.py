"""Masking: secrets are hidden in a text in every spelling that outside systems give them. Pure.

An error quotes what it was sent: escaped for JSON, in base64, percent-encoded, or cut after so many characters. So a
secret is looked for as it is, in each of these spellings, behind whatever is escaped, line by line, and by its
beginning and its end: what follows or precedes them is hidden as far as it goes on like the secret.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote, quote_plus

from shared.unescaping import unescaped

MASK = "***"
SHORTEST_SECRET = 4
"""Characters: what is shorter would be hidden in every other word."""
_CAN_BE_CUT = 8
"""Characters of the shortest secret of which a part is hidden, too."""
_DEEPEST = 4
"""Layers of escapes that are looked behind: JSON within JSON within the text of an error, and one more."""
_LEAST_PART, _LONGEST_PART = 6, 12
"""Characters of its beginning or end by which a cut secret is known: half of it, within these bounds."""
# What is secret in a connection string, beside the whole of it.
_IN_CONNECTION_STRINGS = re.compile(
    r"(?:AccountKey|SharedAccessSignature|Password)=([^;]+)", re.IGNORECASE
)

# What is plainly a credential in what a program says of itself, whoever gave it: the password in a URL, the token of an
# Authorization header, the keys of Azure's connection strings, and the signature of a shared access URL.
_PLAINLY_SECRET = re.compile(
    r"(?P<url>://[^\s/:@]*:)[^\s/]*(?=@)"
    r"|(?P<header>\b(?:bearer|basic)\s+)[\w.~+/=-]{16,}"
    r"|(?P<key>\b(?:accountkey|sharedaccesskey|sharedaccesssignature|password|pwd)=)[^\s;\"'&]+"
    r"|(?P<signature>[?&]sig=)[^\s&\"']+",
    re.IGNORECASE,
)

Span = tuple[int, int]


class Masks:
    """The secrets that are known, and how each is spelt. Learning more makes another value; nothing is changed."""

    def __init__(self, secrets: Iterable[str | bytes] = ()) -> None:
        # By their first and last characters: a text is gone through once, however many spellings there are.
        self._starts: dict[str, list[str]] = {}
        self._ends: dict[str, list[str]] = {}
        known: set[str] = set()
        for secret in secrets:
            known |= set(spellings(secret))
        for spelling in sorted(known):
            self._starts.setdefault(spelling[:SHORTEST_SECRET], []).append(spelling)
            self._ends.setdefault(spelling[-SHORTEST_SECRET:], []).append(spelling)
        # Nearly every text holds none: one search by the C engine spares it the loop over its characters.
        self._few = re.compile(
            "|".join(map(re.escape, sorted(self._starts.keys() | self._ends.keys())))
            or r"(?!)"
        )

    def __call__(self, text: str) -> str:
        """The text without any known secret, whole or cut."""
        spans = list(self._in_every_layer(text))
        return _without(text, spans) if spans else text

    def _in_every_layer(self, text: str) -> Iterator[Span]:
        """Where secrets are, as they stand in the text, and behind its escapes."""
        places: Sequence[int] = range(len(text) + 1)
        for _ in range(_DEEPEST):
            if self._few.search(text):
                for start, stop in self._spans(text):
                    yield places[start], places[stop]
            layer = unescaped(text)
            if layer is None:
                return
            text, places = layer.text, [places[place] for place in layer.places]

    def _spans(self, text: str) -> Iterator[Span]:
        """Where the text goes on like a secret from its beginning, or has gone on like one up to its end."""
        fews = {
            text[start : start + SHORTEST_SECRET]
            for start in range(len(text) - SHORTEST_SECRET + 1)
        }
        for few in self._starts.keys() & fews:
            for spelling in self._starts[few]:
                yield from _beginnings(text, spelling, _part(spelling))
        if ends := self._ends.keys() & fews:
            # The end of a secret is found as its beginning is, in the text and the secret read backwards.
            backwards, size = text[::-1], len(text)
            for few in ends:
                for spelling in self._ends[few]:
                    for start, end in _beginnings(
                        backwards, spelling[::-1], _part(spelling)
                    ):
                        yield size - end, size - start


def without_credentials(text: str) -> str:
    """The text without what is plainly a credential, although nobody has told us that secret."""
    return _PLAINLY_SECRET.sub(
        lambda found: f"{found[found.lastgroup or 0]}{MASK}", text
    )


def spellings(secret: str | bytes) -> Iterator[str]:
    """Every text that stands for a secret. Those that are too short to be hidden are left out."""
    # A secret may contain a lone surrogate, or be any bytes. It is hidden all the same.
    content = (
        secret.encode(errors="surrogatepass") if isinstance(secret, str) else secret
    )
    for text in _texts(content):
        # As it is; as JSON with and without escapes for other scripts; within JSON that is itself a text; as Python
        # quotes it in an exception; in a URL and in a form; in an HTML page.
        found = (
            text,
            json.dumps(text)[1:-1],
            json.dumps(text, ensure_ascii=False)[1:-1],
            json.dumps(json.dumps(text))[3:-3],  # JSON that is a text within JSON
            repr(text)[1:-1],
            quote(text, safe="", errors="replace"),
            quote_plus(text, errors="replace"),
            text.replace(" ", "+"),  # the same where nothing else is escaped
            html.escape(text),
        )
        yield from (spelling for spelling in found if len(spelling) >= SHORTEST_SECRET)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(content).decode()
        if len(content) >= SHORTEST_SECRET:
            yield encoded


def _texts(content: bytes) -> Iterator[str]:
    """The secret as a text, and each part of it that is quoted alone: its lines, and its values if it is JSON."""
    text = content.decode(errors="backslashreplace")
    yield text
    # What is read of a file may end in a newline that whoever quotes the secret leaves out.
    yield text.strip()
    yield from (
        line.strip() for line in text.splitlines() if len(line.strip()) >= _CAN_BE_CUT
    )
    yield from _IN_CONNECTION_STRINGS.findall(text)
    # A secret that has escapes of its own, such as a signature in a URL, loses them as well where a text is looked
    # behind.
    layer = unescaped(text)
    if layer is not None:
        yield layer.text
    if text.lstrip()[:1] in {"{", "["}:
        yield from _values_in(text)


def _values_in(text: str) -> Iterator[str]:
    try:
        left = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list):
            left += value
        elif isinstance(value, str):
            yield value


def _part(spelling: str) -> int:
    """How many characters of its beginning, or end, are enough to know it by; all of them if it is short."""
    if len(spelling) < _CAN_BE_CUT:
        return len(spelling)
    return min(_LONGEST_PART, max(_LEAST_PART, len(spelling) // 2))


def _beginnings(text: str, word: str, least: int) -> Iterator[Span]:
    """Every place where the text goes on like the word from its beginning, for at least so many characters.

    What somebody else prints may repeat a secret, or most of one, at every character (`aaaa…`, `-----`). To compare the
    word again at each place then costs the product of both lengths, seconds for a container's log. So this goes on as
    Knuth, Morris and Pratt's search does, and reads no character twice: what follows a place where the word ends, or
    goes on differently, begins with the longest of the word's own beginnings that the text has just gone on like.
    """
    borders = _Borders(word)
    place = text.find(word[:least])
    while place >= 0:
        end, same = place + least, least
        while same >= least:
            while same < len(word) and text[end : end + 1] == word[same]:
                end, same = end + 1, same + 1
            yield end - same, end
            same = borders.of(same)
        # What began before this has been seen: it would be a border of those characters.
        place = text.find(word[:least], end - least + 1)


class _Borders:
    """Of each beginning of a word, how long the longest shorter one is that it ends with; as far as it is asked for."""

    def __init__(self, word: str) -> None:
        self._word = word
        self._lengths = [0, 0]

    def of(self, length: int) -> int:
        """How long that is for the word's first `length` characters, of which there is at least one."""
        word, lengths = self._word, self._lengths
        for end in range(len(lengths), length + 1):
            border = lengths[end - 1]
            while border and word[border] != word[end - 1]:
                border = lengths[border]
            lengths.append(border + (word[border] == word[end - 1]))
        return lengths[length]


def _without(text: str, spans: Sequence[Span]) -> str:
    """The text with a mask in place of each span, and one for those that meet."""
    kept: list[str] = []
    end = 0
    for start, stop in sorted(spans):
        if start > end or not kept:
            kept.append(text[end:start])
        end = max(end, stop)
    kept.append(text[end:])
    return MASK.join(kept)
