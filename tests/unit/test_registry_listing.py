"""Lists of tags over their pages: sizes that are refused, links that lead in a circle, and lists without an end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import httpx
import pytest

from shared.errors import RemoteError
from shared.image import ImageReference
from worker.adapters.registry import listing
from worker.adapters.registry.answers import Answer, refusal
from worker.adapters.registry.asking import Asking
from worker.adapters.registry.granting import Access
from worker.adapters.registry.listing import list_tags, recent_tags
from worker.adapters.registry.pages import next_query, tags_in

GHCR = ImageReference.parse("ghcr.io/acme/shop")
HUB = ImageReference.parse("acme/shop")
ACR = ImageReference.parse("acme.azurecr.io/shop")


def page(*tags: object, link: str | None = None, status: int = 200, **headers: str) -> Answer:
    fields = httpx.Headers({**({"Link": link} if link else {}), **headers})
    body = json.dumps({"name": "acme/shop", "tags": list(tags)}).encode()
    return Answer(httpx.URL("https://ghcr.io/v2/acme/shop/tags/list"), status, fields, body)


class Registry:
    """Stands for Asking: notes what it is asked, and answers or raises what a test says, as Asking does."""

    def __init__(self, answer: Callable[[str], Answer]) -> None:
        self.asked: list[str] = []
        self._answer = answer

    def access(self, image: ImageReference) -> Access:
        return Access(lambda: None)

    def ask(self, _method: str, _image: ImageReference, path: str, _kind: str, _deadline: float) -> Answer:
        self.asked.append(path)
        answer = self._answer(path)
        if answer.status not in {200, 404}:
            raise refusal(answer)
        return answer

    def ask_stranger(self, url: httpx.URL, _deadline: float) -> Answer:
        self.asked.append(str(url))
        return self._answer(str(url))

    def tags(self) -> list[str]:
        return list_tags(cast(Asking, self), GHCR, 0.0)

    def recent(self, image: ImageReference) -> Any:
        return recent_tags(cast(Asking, self), image, 0.0)

    def error(self) -> RemoteError:
        with pytest.raises(RemoteError) as raised:
            self.tags()
        return raised.value


def test_pages_are_read_by_their_links() -> None:
    pages = {
        "tags/list?n=1000": page("1", "2", link='</v2/acme/shop/tags/list?last=2>; rel="next"'),
        "tags/list?last=2": page("3"),
    }
    assert Registry(lambda path: pages[path]).tags() == ["1", "2", "3"]


def test_a_refused_size_of_pages_is_followed_by_a_smaller_one() -> None:
    registry = Registry(lambda path: page("1") if path == "tags/list" else page(status=400))
    assert registry.tags() == ["1"]
    assert registry.asked == ["tags/list?n=1000", "tags/list?n=100", "tags/list"]


@pytest.mark.parametrize(("status", "asked"), [(400, 3), (429, 1)], ids=["every size is refused", "a limit"])
def test_other_refusals_are_raised(status: int, asked: int) -> None:
    registry = Registry(lambda path: page(status=status))
    assert registry.error().status == status
    assert len(registry.asked) == asked


def test_a_repository_that_is_missing_has_no_list() -> None:
    assert Registry(lambda path: page(status=404)).error().status == 404


def test_links_that_lead_in_a_circle() -> None:
    registry = Registry(lambda path: page(path, link='<?last=2>; rel="next"'))
    assert "its pages form a loop" in registry.error().message


def test_a_page_that_is_missing() -> None:
    registry = Registry(lambda path: page(status=404) if "last" in path else page("1", link='<?last=1>; rel="next"'))
    assert "a page of it is missing" in registry.error().message


@pytest.mark.parametrize("limit", ["MOST_TAGS", "MOST_PAGES"])
def test_a_list_that_does_not_end(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(listing, limit, 5)
    numbers = iter(range(100))

    def endless(_path: str) -> Answer:
        number = next(numbers)
        return page(f"v{number}", link=f'<?last=v{number}>; rel="next"')

    assert "it does not end" in Registry(endless).error().message


def test_a_registry_that_ignores_where_the_next_page_begins_ends_its_list_once_nothing_is_new() -> None:
    same = [str(number) for number in range(50)]
    assert Registry(lambda path: page(*same)).tags() == same


class TestRecentTags:
    def test_nobody_tells_them_of_most_registries(self) -> None:
        registry = Registry(lambda path: page())
        assert registry.recent(GHCR) is None
        assert registry.asked == []

    def test_a_limit_is_raised(self) -> None:
        for image in (HUB, ACR):
            with pytest.raises(RemoteError) as raised:
                Registry(lambda path: page(status=429)).recent(image)
            assert raised.value.status == 429

    @pytest.mark.parametrize("image", [HUB, ACR], ids=str)
    def test_any_other_refusal_leaves_them_unknown(self, image: ImageReference) -> None:
        assert Registry(lambda path: page(status=403)).recent(image) is None


class TestPages:
    def test_what_can_be_no_tag_is_passed_over(self) -> None:
        assert tags_in(page("1.0", "-", 7, None)) == ["1.0"]

    def test_an_empty_list_of_distribution_is_null(self) -> None:
        assert tags_in(Answer(httpx.URL("https://a/"), 200, httpx.Headers(), b'{"name": "a", "tags": null}')) == []
        with pytest.raises(RemoteError, match="not a list of tags"):
            tags_in(Answer(httpx.URL("https://a/"), 200, httpx.Headers(), b"{}"))

    @pytest.mark.parametrize("link", ['<https://[::1>; rel="next"', '<>; rel="next"'])
    def test_a_link_that_can_not_be_read_ends_no_list_silently(self, link: str) -> None:
        with pytest.raises(RemoteError, match="can't be read"):
            next_query(page(link=link), 1000, [])

    @pytest.mark.parametrize("link", ['</first?a=1>; rel="first"', "</next?a=1", "no link", ""])
    def test_a_link_to_something_else_is_no_next_page(self, link: str) -> None:
        assert next_query(page(link=link), 1000, ["1"]) is None

    @pytest.mark.parametrize(
        ("wanted", "count", "query"),
        [
            (None, 50, "last=v49"),
            (100, 100, "n=100&last=v99"),
            (1000, 100, "n=1000&last=v99"),
            (1000, 99, None),
            (None, 0, None),
        ],
    )
    def test_a_page_as_long_as_one_that_was_cut_has_a_next_one(
        self, wanted: int | None, count: int, query: str | None
    ) -> None:
        assert next_query(page(), wanted, [f"v{number}" for number in range(count)]) == query
