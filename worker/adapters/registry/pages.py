"""The pages of a list of tags: what one holds, and where the next one is. Pure.

github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags, and what registries make of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

import httpx

from shared.image import InvalidImage, check_tag
from worker.adapters.registry.answers import Answer, bad_answer, json_object

_RELATION = re.compile(
    r""";\s*rel\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;,"]+))""", re.IGNORECASE
)


def tags_in(answer: Answer) -> list[str]:
    """The tags of one page; texts that can't be tags are skipped. Raises RemoteError if it is not a list of tags."""
    body = json_object(answer.body)
    tags = body.get("tags")
    if tags is None and "name" in body:  # how Distribution writes an empty list
        return []
    if not isinstance(tags, list):
        raise bad_answer("its answer is not a list of tags")
    return [tag for tag in tags if _is_tag(tag)]


def next_query(answer: Answer, wanted: int | None, page: Sequence[str]) -> str | None:
    """The query of the next page, None if this was the last.

    Only the query of a link is taken, to be asked for at our own URL of the list. Behind proxies links name an inner
    host, plain http, another port or a path without the part that the proxy adds; and none of them may lead us away.
    """
    for target in _next_links(answer.headers.get_list("Link")):
        try:
            query = answer.url.join(target).query.decode("ascii")
        except (httpx.InvalidURL, ValueError, UnicodeError):
            query = ""
        if not query:
            raise bad_answer("its link to the next page of tags can't be read")
        return query
    if page and _may_be_cut(len(page), wanted):
        size = f"n={wanted}&" if wanted else ""
        # `last` is the specification's own way to go on, for registries that send no link.
        return f"{size}last={quote(page[-1], safe='')}"
    return None


def _next_links(headers: Iterable[str]) -> Iterator[str]:
    """The targets of the links to a next page: <target>; name=value; rel="next", RFC 8288."""
    for header in headers:
        for target, parameters in _links(header):
            relations = [" ".join(found) for found in _RELATION.findall(parameters)]
            if any("next" in relation.lower().split() for relation in relations):
                yield target.strip()


def _links(header: str) -> Iterator[tuple[str, str]]:
    """Each link's target and its parameters. By hand, in one pass: a header may be long, and a pattern slow."""
    start = header.find("<")
    while start >= 0:
        end = header.find(">", start)
        if end < 0:
            return
        following = header.find("<", end)
        yield (
            header[start + 1 : end],
            header[end + 1 : following if following >= 0 else len(header)],
        )
        start = following


def _may_be_cut(count: int, wanted: int | None) -> bool:
    """Is a page without a link as long as one that was cut? Some registries cut at a round number and don't say so."""
    # Asking for a page too many costs one request. Taking a cut list for a whole one would hide the newest tags.
    return count == wanted or (count >= 50 and count % 50 == 0)


def _is_tag(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(check_tag(value))
    except InvalidImage:
        return False
