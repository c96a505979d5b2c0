"""tools/: the drawing of the house, the documentation site, the prose."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from proselint import checks as proselint_checks
from proselint.registry import CheckRegistry

from tests.processes import PROJECT
from tools import house, prose, site
from tools.drawing import is_implied, picture

LAYERS = ["worker.top", "worker.left | worker.right", "worker.low"]
FLOORS = {
    "tool": {
        "importlinter": {
            "contracts": [
                {"name": "something else", "layers": ["a"]},
                {
                    "name": "the worker has floors: …",
                    "layers": ["worker.top", "worker.left | worker.right", "worker.low"],
                },
            ]
        }
    }
}


def house_of(*imports: tuple[str, str]) -> house.House:
    return house.read_house(FLOORS, iter(imports))


class TestHouse:
    def test_rooms_have_the_floors_of_the_contract_and_the_arrows_of_the_imports(self) -> None:
        read = house_of(
            ("worker.top", "worker.left.one"),
            ("worker.left.one", "worker.left.two"),
            ("worker.left.two", "worker.low.x"),
            ("worker.top", "shared.image"),
        )
        assert read.floors == (("top",), ("left", "right"), ("low",))
        assert read.imported_by("top") == ("left",)
        assert read.imported_by("left") == ("low",)
        assert read.imported_by("low") == ()
        assert read.arrows["left", "low"] == (("worker.left.two", "worker.low.x"),)

    def test_a_circle_between_rooms_is_found_and_names_the_imports(self) -> None:
        read = house_of(
            ("worker.top", "worker.low.x"),
            ("worker.low.x", "worker.right.y"),
            ("worker.right.z", "worker.low.y"),
        )
        circle = house.find_circle(read)
        assert circle == ["low", "right", "low"]
        told = house.explain(read, circle)
        assert "low -> right -> low" in told
        assert "worker.low.x imports worker.right.y" in told
        assert "worker.right.z imports worker.low.y" in told

    def test_a_room_that_is_reached_by_two_ways_is_no_circle(self) -> None:
        assert house.find_circle(house_of(("worker.top", "worker.left.a"), ("worker.top", "worker.low.b"))) is None
        diamond = [("worker.top", "worker.left.a"), ("worker.top", "worker.right.a")]
        diamond += [("worker.left.a", "worker.low.b"), ("worker.right.a", "worker.low.b")]
        assert house.find_circle(house_of(*diamond)) is None

    def test_the_worker_has_no_circle_and_the_documentation_shows_it_as_it_is(self) -> None:
        pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
        real = house.read_house(pyproject, house.imports_of(*house.ROOTS))
        assert house.find_circle(real) is None
        folders = {path.name for path in (PROJECT / "worker").iterdir() if (path / "__init__.py").exists()}
        assert folders <= set(real.rooms)

    def test_only_the_drawing_of_the_page_is_replaced(self) -> None:
        page = f"before\n{house.BEGIN}\nold\n{house.END}\nafter\n"
        drawn = house.redraw(page, house.text_of(house_of(("worker.top", "worker.left.a"))))
        assert drawn.startswith("before\n")
        assert drawn.endswith("\nafter\n")
        assert "old" not in drawn
        assert "| 3 | `top` | left |" in drawn
        assert "| 1 | `low` | - |" in drawn
        assert house.redraw(drawn, house.text_of(house_of(("worker.top", "worker.left.a")))) == drawn

    def test_an_arrow_follows_from_others_where_they_lead_to_the_same_room(self) -> None:
        read = house_of(
            ("worker.top", "worker.left.a"),
            ("worker.top", "worker.low.b"),
            ("worker.left.a", "worker.low.b"),
        )
        assert is_implied("top", "low", read.imported_by)
        assert not is_implied("top", "left", read.imported_by)
        svg = picture(read.floors, read.imported_by)
        assert svg.count('class="arrow"') == 2
        assert svg.count('class="implied"') == 1
        assert svg.count('class="room"') == 4


class TestSite:
    @pytest.mark.parametrize(
        ("link", "shown"),
        [
            ("docs/senders.md#quay", "senders.md#quay"),
            ("CONTRIBUTING.md", "CONTRIBUTING.md"),
            ("LICENSE", "https://code.example/blob/main/LICENSE"),
            ("nowhere.md", "nowhere.md"),
            ("#settings", "#settings"),
            ("https://example.com/docs/", "https://example.com/docs/"),
        ],
    )
    def test_a_link_of_the_readme_leads_to_the_site(self, link: str, shown: str) -> None:
        assert (
            site.relink(f"see [it]({link}).", is_beside=True, source="https://code.example/") == f"see [it]({shown})."
        )

    @pytest.mark.parametrize(
        ("link", "shown"),
        [
            ("../README.md#settings", "README.md#settings"),
            ("senders.md", "senders.md"),
            ("house.svg", "house.svg"),
            ("../Makefile", "https://code.example/blob/main/Makefile"),
        ],
    )
    def test_a_link_of_docs_leads_to_the_site(self, link: str, shown: str) -> None:
        assert site.relink(f"[it]({link})", is_beside=False, source="https://code.example") == f"[it]({shown})"

    def test_without_an_address_of_the_source_only_the_text_of_a_link_to_it_is_left(self) -> None:
        markdown = "see [the\nMakefile](../Makefile), [this](targets.md#a) and [the changes](../CHANGELOG.md)"
        assert site.relink(markdown, is_beside=False, source=None) == (
            "see the\nMakefile, [this](targets.md#a) and [the changes](CHANGELOG.md)"
        )

    def test_what_stands_under_a_list_item_is_indented_for_python_markdown(self) -> None:
        page = "1. Do it:\n\n   ```sh\n   one\n     two\n   ```\n\n   Then rest.\n```\n   as it is\n```"
        assert site.unfence(page) == (
            "1. Do it:\n\n\n        one\n          two\n\n\n    Then rest.\n```\n   as it is\n```"
        )


class TestProse:
    def test_code_and_addresses_are_no_prose(self) -> None:
        page = "Say [this](that.md) and `code`.\n```\nfor ever\n```\nEnd."
        assert prose.prose_of_page(page).split("\n") == ["Say [this  and  .", "", "", "", "End."]

    def test_of_code_only_texts_and_comments_are_prose_at_their_lines(self) -> None:
        code = 'anew = 1  # a comment\ntext = f"told {anew} times"\n"""Two\nlines."""\n'
        lines = prose.prose_of_code(code).split("\n")
        assert "comment" in lines[0]
        assert "anew = 1" not in lines[0]
        assert "told" in lines[1]
        assert "Two" in lines[2]
        assert "lines." in lines[3]

    def test_riddles_and_slips_are_found_with_their_lines(self) -> None:
        CheckRegistry().register_many(proselint_checks.__register__)
        found = list(prose.slips("All is well.\nIt starts anew.\nIt waits for ever.\n"))
        assert [line for line, _ in found] == [3, 2]
        assert list(prose.slips("  \n")) == []

    def test_a_long_paragraph_is_wrapped_and_code_and_tables_stay(self) -> None:
        words = "word " * 40
        page = f"# Title\n\n- item {words}\n  more\n\n| {words} |\n\n```\n{words}\n```\n\nshort\nlines\n"
        wrapped = prose.wrap(page)
        assert list(prose.long_lines(page)) != []
        assert list(prose.long_lines(wrapped)) == []
        assert wrapped.split() == page.split()
        assert "short\nlines\n" in wrapped
        assert f"| {words} |" in wrapped
        assert f"```\n{words}\n```" in wrapped
        assert prose.wrap(wrapped) == wrapped

    def test_every_page_of_the_project_is_read(self) -> None:
        names = {path.name for path in prose._files(prose.PAGES)}
        assert {"README.md", "CONTRIBUTING.md", "architecture.md"} <= names
        assert all(isinstance(path, Path) for path in prose._files(prose.CODE))
