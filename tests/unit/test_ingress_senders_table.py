"""Every cell of the senders' table is what it should be."""

from __future__ import annotations

import pytest

from shared.settings import SENDERS
from tests.ingress_harness import SECRET, ways
from tests.processes import PROJECT
from tests.senders_table import NOT_THERE, SEVERAL_TAGS, Row, as_text, rows

TABLE = {row.sender: row for row in rows()}


@pytest.mark.parametrize("sender", SENDERS)
def test_each_sender_answers_as_the_table_says(sender: str) -> None:
    own = ways(sender, SECRET)
    is_signed = any(name.startswith("HMAC") for name in own)
    expected = Row(
        sender,
        proved=dict.fromkeys(["URL", "bearer", *own, *(["OIDC"] if sender == "gcr" else [])], "202 x1"),
        bad_secret="401",
        no_secret="401",
        tampered="401" if is_signed else NOT_THERE,
        ignorable="200",
        several_tags="202 x2" if sender in SEVERAL_TAGS else NOT_THERE,
        # Those whose every delivery carries a tag: one without is no delivery of theirs.
        no_tag="400" if sender in {"dockerhub", "generic"} else "200",
        malformed="400",
    )
    assert TABLE[sender] == expected


def test_the_table_can_be_read() -> None:
    lines = as_text(list(TABLE.values())).splitlines()
    assert len(lines) == len(SENDERS) + 2
    assert len({len(line) for line in lines}) == 1


def test_the_documentation_shows_it() -> None:
    assert as_text(list(TABLE.values())) in (PROJECT / "docs" / "senders.md").read_text(encoding="utf-8")
