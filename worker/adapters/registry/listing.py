"""Lists of a repository's tags: all of them, and those that were pushed last."""

from __future__ import annotations

from shared.errors import RemoteError
from shared.image import ImageReference
from worker.adapters.registry.answers import SERVICE, Answer, refusal
from worker.adapters.registry.asking import Asking
from worker.adapters.registry.dates import azure_path, dated_tags, stranger_url
from worker.adapters.registry.pages import next_query, tags_in
from worker.ports import Dated
from worker.targets.registries import is_azure_registry

MOST_TAGS, MOST_PAGES = 200_000, 5_000
"""More than any repository has: of the official ones of Docker Hub the largest has 18,096 tags."""
PAGE_SIZES = (1000, 100)
"""Tags to ask for in a page. If a registry refuses them all, it may choose the size itself."""
_SIZE_REFUSED = frozenset({400, 405, 406, 413, 414, 416, 422, 500, 501})


def list_tags(asking: Asking, image: ImageReference, deadline: float) -> list[str]:
    """Every tag of a repository, in its registry's order. Raises RemoteError if they can't be read to their end."""
    tags: dict[str, None] = {}
    answer, size = _first_page(asking, image, deadline)
    asked: set[str] = set()
    for _ in range(MOST_PAGES):
        page = tags_in(answer)
        known_before = len(tags)
        tags.update(dict.fromkeys(page))
        query = next_query(answer, size, page)
        # Without a link, that there is a next page is a guess from this one's length. A registry that ignores `last`
        # gives the same page each time: then nothing new came, and this is the whole list.
        is_guess = "Link" not in answer.headers
        is_nothing_new = len(tags) == known_before
        if query is None or (is_guess and is_nothing_new):
            return list(tags)
        if query in asked:
            raise _not_whole("its pages form a loop", len(tags))
        if len(tags) > MOST_TAGS:
            break
        asked.add(query)
        answer = asking.ask("GET", image, f"tags/list?{query}", "tags", deadline)
        if answer.status != 200:
            raise _not_whole("a page of it is missing", len(tags))
    raise _not_whole("it does not end", len(tags))


def _first_page(
    asking: Asking, image: ImageReference, deadline: float
) -> tuple[Answer, int | None]:
    """The first page, and the size that was asked for; None if the registry chose it."""
    for size in PAGE_SIZES:
        try:
            return _page(asking, image, f"tags/list?n={size}", deadline), size
        except RemoteError as error:
            # Some registries refuse a page of this size with a status that usually means something else, so the next
            # smaller one is tried.
            if error.status not in _SIZE_REFUSED:
                raise
    return _page(asking, image, "tags/list", deadline), None


def _page(asking: Asking, image: ImageReference, path: str, deadline: float) -> Answer:
    answer = asking.ask("GET", image, path, "tags", deadline)
    if answer.status == 404:
        raise refusal(answer)
    return answer


def recent_tags(
    asking: Asking, image: ImageReference, deadline: float
) -> list[Dated] | None:
    """The tags that were pushed last, newest first; None if that can't be found out. Raises RemoteError."""
    try:
        if url := stranger_url(image):
            answer = asking.ask_stranger(url, deadline)
        elif (
            is_azure_registry(image.registry)
            or asking.access(image).identity == "always"
        ):
            answer = asking.ask("GET", image, azure_path(image), "times", deadline)
        else:
            return None
    except RemoteError as error:
        # A limit is told, so that its registry is left alone for a while. Anything else only means that nobody tells.
        if error.status == 429:
            raise
        return None
    if answer.status == 429:
        raise refusal(answer)
    # The API does not show private repositories to strangers, and the credentials are for the registry itself.
    return dated_tags(answer.body) if answer.status == 200 else None


def _not_whole(why: str, read: int) -> RemoteError:
    return RemoteError(
        SERVICE,
        None,
        "BadGateway",
        f"its list of tags could not be read to the end because {why}; {read} were read",
    )
