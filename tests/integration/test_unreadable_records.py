"""Records that can't be read, and blobs that are none: each command says so in a line, and other groups go on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import RemoteError
from tests.site import RESOURCE_GROUP, Site, target_of
from worker.adapters.record_blobs.client import LARGEST
from worker.ports import UNREADABLE
from worker.record.container import ContainerRecord
from worker.record.record import Record
from worker.record.trace import Trace

BAD = {
    "newer": '{"schema": "aci-hooks/record/999"}',
    "swapped": Record(target=target_of("shop")).model_dump_json(exclude_none=True),
    "garbage": "not JSON at all",
    "flawed": Record(
        target=target_of("flawed"), containers={"web": ContainerRecord(repository="docker.io/acme/shop", goods=())}
    ).model_dump_json(exclude_none=True),
}
FOREIGN = "groups/notes.txt"
MEND = "restore it, or delete the blob to start afresh"


@pytest.fixture
def broken(site: Site) -> Site:
    """Beside `shop`, each of whose pushes they get, there are a group for every way in which a record can be bad."""
    lines = ["targets:"]
    for name in ("shop", *BAD):
        lines += [f"  - container_group: {name}", f"    resource_group: {RESOURCE_GROUP}"]
        lines += ["    containers: {web: {policy: any}}"]
    file = site.processes.folder / "targets.yaml"
    file.write_text("\n".join(lines))
    site.environment |= {"ACI_HOOKS_TARGETS": str(file), "NO_COLOR": "1", "COLUMNS": "400"}
    for name, text in BAD.items():
        site.group(name, {"web": "acme/shop:v1"})
        site.write_record(name, text)
    site.write_blob(FOREIGN, "who wrote this?")
    return site


def lines_about(name: str, out: str) -> list[str]:
    return [line for line in out.splitlines() if f"groups/{target_of(name).key}.json" in line]


def test_every_command_says_a_line_of_each_unreadable_record_and_exits_1(broken: Site) -> None:
    of_all = [("history",), ("check",), ("plan", "acme/shop:v2")]
    of_one = [
        (name, (*words, name)) for words in (("hold", "--reason", "r"), ("release",), ("rollback",)) for name in BAD
    ]
    with ThreadPoolExecutor(4) as several:
        general = [several.submit(broken.command, *words, expect=1) for words in of_all]
        single = [(name, several.submit(broken.command, *words, expect=1)) for name, words in of_one]
    said = [(name, outs.result()) for outs in general for name in BAD]
    said += [(name, out.result()) for name, out in single]
    for name, out in said:
        (line,) = lines_about(name, out)
        assert MEND in line
        assert "Traceback" not in out
    history, check, plan = (out.result() for out in general)
    assert "nothing has been rolled out yet" in history
    (foreign,) = [line for line in check.splitlines() if FOREIGN in line]
    assert "is not the name of a record" in foreign
    assert FOREIGN not in history + plan
    assert "web/shop: would be updated" in plan


def test_other_groups_are_updated_and_what_an_unreadable_record_missed_comes_by_a_redrive(broken: Site) -> None:
    broken.push("acme/shop:v2")
    broken.drain(ACI_HOOKS_MAX_ATTEMPTS="1", ACI_HOOKS_OUTAGE_PATIENCE="1", ACI_HOOKS_RETRY_MAX="1")
    assert (broken.images()["web"], broken.is_at_rest()) == ("acme/shop:v2", True)
    assert {letter["code"] for letter in broken.dead_letters()} == {"UnreadableRecord"}
    out = broken.command("dead-letters", "redrive", "--all", expect=1)
    assert "0 put back onto the queue" in out
    assert [MEND in line for name in BAD for line in lines_about(name, out)] == [True] * len(BAD)
    for name in BAD:
        broken.write_record(name, Record(target=target_of(name)).model_dump_json(exclude_none=True))
    assert f"{len(BAD)} put back onto the queue" in broken.command("dead-letters", "redrive", "--all")
    broken.drain()
    assert {name: broken.images(name)["web"] for name in BAD} == dict.fromkeys(BAD, "acme/shop:v2")


def test_a_drain_ends_though_several_pushes_wait_for_a_record_that_nobody_has_mended(broken: Site) -> None:
    for tag in ("v2", "v3"):
        broken.push(f"acme/shop:{tag}")
    broken.drain()
    assert (broken.images()["web"], broken.is_at_rest()) == ("acme/shop:v3", True)
    assert (broken.updates.count(), broken.poison.count()) == (2 * len(BAD), 0)


def test_a_record_that_is_too_large_is_not_read(site: Site) -> None:
    site.write_record("shop", " " * (LARGEST + 1))
    with pytest.raises(RemoteError, match=f"it has {LARGEST + 1} bytes") as told:
        site.records.load(target_of("shop"))
    assert told.value.code == UNREADABLE
    site.write_blob("trace.json", " " * (LARGEST + 1))
    assert site.records.trace() == Trace()
