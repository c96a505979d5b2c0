"""One reader for all viewers: what it reads and when, and what it shows while something can't be read."""

from __future__ import annotations

import threading

import pytest
from structlog.testing import capture_logs

from shared.errors import RemoteError
from shared.message import TargetId
from tests.unit.builders import API, SHOP, TWO, at, record
from tests.unit.dashboard_outside import Outside
from tests.unit.test_dead_letters import letter
from worker.core.status import Status
from worker.dashboard.pace import CALM
from worker.dashboard.reader import WATCHED
from worker.dashboard.state import LETTERS, QUEUE, RECORDS, TARGETS
from worker.groups.group import ContainerGroup
from worker.record.record import Record
from worker.record.values import Hold
from worker.targets.target import single_target

DOWN = RemoteError("arm", 503, "ServiceUnavailable", "down, s3cret")


@pytest.fixture
def outside() -> Outside:
    return Outside()


def words(outside: Outside) -> dict[str, str]:
    return {item.target.container_group: item.word for item in outside.reader.state.statuses}


def status(outside: Outside) -> Status:
    return outside.reader.state.seen[SHOP].status


def failing(error: RemoteError) -> object:
    def probe(call: str) -> None:
        if call.startswith("before"):
            raise error

    return probe


def test_everything_is_there_after_a_round(outside: Outside) -> None:
    outside.records.save(record(hold=Hold(reason="sale", since=at(0))), None)
    outside.updates.send("one")
    outside.poison.send(letter(TWO))
    outside.poison.send("not ours")
    outside.look()
    state = outside.reader.state
    assert words(outside) == {"shop": "held", "api": "ok"}
    assert (state.messages, state.dead, len(state.letters), state.is_read) == (1, 2, 2, True)
    assert state.last_read() == outside.clock.now()


def test_letters_are_not_leased(outside: Outside) -> None:
    outside.poison.send(letter(TWO))
    outside.look()
    assert len(outside.poison.receive(32)) == 1


def test_a_calm_group_is_not_read_again_at_once(outside: Outside) -> None:
    for _ in range(5):
        outside.look()
    assert outside.groups.reads == 2
    outside.clock.advance(CALM)
    outside.look()
    assert outside.groups.reads == 4


def test_a_group_is_read_again_once_its_record_has_changed(outside: Outside) -> None:
    etag = outside.records.save(record(), None)
    outside.look()
    outside.records.save(record(hold=Hold(reason="sale", since=at(0))), etag)
    outside.clock.advance(1)
    outside.look()
    assert (outside.groups.reads, words(outside)["shop"]) == (3, "held")


def test_the_version_grows_when_a_viewer_would_see_something_else(outside: Outside) -> None:
    outside.look()
    version = outside.reader.version
    outside.clock.advance(CALM)
    outside.look()
    assert outside.reader.version == version
    outside.updates.send("one")
    outside.look()
    assert outside.reader.version == version + 1


def test_a_viewer_hears_that_groups_are_not_read_any_more_although_storage_is(outside: Outside) -> None:
    def look_at_storage(seconds: float) -> int:
        outside.clock.advance(seconds)
        outside.reader.round("storage", outside.reader.look_at_storage)
        return outside.reader.version

    outside.look()
    version = outside.reader.version
    assert [look_at_storage(seconds) for seconds in (60, 31, 60)] == [version, version + 1, version + 1]
    outside.look()
    assert outside.reader.version == version + 2


def test_azure_that_is_down_leaves_what_was_known(outside: Outside) -> None:
    outside.look()
    outside.groups.probe = failing(DOWN)  # type: ignore[assignment]
    outside.clock.advance(CALM)
    outside.look()
    shop = outside.reader.state.seen[SHOP]
    assert [container.image for container in shop.status.containers] == ["acme/shop:1", "nginx:1"]
    assert shop.status.problem is not None
    assert "***" in shop.status.problem
    assert "s3cret" not in shop.status.problem
    assert (shop.of_group.at, words(outside)) == (at(0), {"shop": "TROUBLE", "api": "TROUBLE"})
    outside.groups.probe = lambda _: None
    outside.clock.advance(CALM)
    outside.look()
    assert words(outside) == {"shop": "ok", "api": "ok"}


def test_one_group_that_is_gone_breaks_nothing(outside: Outside) -> None:
    gone = SHOP.model_copy(update={"container_group": "gone"})
    outside.targets._targets[gone] = single_target(gone)
    outside.look()
    assert words(outside) == {"gone": "TROUBLE", "shop": "ok", "api": "ok"}


def test_an_answer_that_nobody_understands_is_a_problem_of_its_group(outside: Outside) -> None:
    outside.groups.odd = ContainerGroup({"id": "x", "properties": {"containers": [{"name": "web"}]}})
    outside.look()
    assert words(outside) == {"shop": "TROUBLE", "api": "TROUBLE"}


def test_storage_that_is_down_leaves_what_was_known(outside: Outside) -> None:
    outside.records.save(record(hold=Hold(reason="sale", since=at(0))), None)
    outside.look()

    def down() -> None:
        raise DOWN

    for store, method in ((outside.records, "versions"), (outside.updates, "count"), (outside.poison, "count")):
        setattr(store, method, down)
    outside.clock.advance(60)
    outside.look()
    state = outside.reader.state
    errors = {what: state.reading(what).error for what in (RECORDS, QUEUE, LETTERS)}
    assert all(error and "***" in error for error in errors.values())
    assert {state.reading(what).at for what in errors} == {at(0)}
    assert (words(outside)["shop"], state.messages) == ("held", 0)


def test_a_record_that_cannot_be_read_is_a_problem_of_its_group(outside: Outside) -> None:
    outside.records.save(record(), None)
    outside.look()
    outside.records._blobs[SHOP] = ("{", '"other"')
    outside.look()
    assert "can't be read" in str(status(outside).problem)
    assert words(outside)["api"] == "ok"


def test_groups_that_cannot_be_listed_are_told(outside: Outside) -> None:
    outside.targets.error, outside.targets.unlisted = DOWN, ("web/x: s3cret",)
    outside.look()
    assert "***" in str(outside.reader.state.reading(TARGETS).error)
    assert set(words(outside)) == {"shop", "api"}
    outside.targets.error = None
    outside.look()
    assert outside.reader.state.unlisted == ("web/x: ***",)


def test_a_group_that_is_no_target_any_more_is_gone_and_its_history_is_not(outside: Outside) -> None:
    outside.records.save(record().end(TWO, "updated", "", (), at(0)), None)
    outside.look()
    outside.targets.forget(SHOP)
    outside.look()
    assert set(words(outside)) == {"api"}
    assert [end.target for end in outside.reader.state.ends] == [SHOP]


def test_a_record_that_was_deleted_is_forgotten(outside: Outside) -> None:
    outside.records.save(record(hold=Hold(reason="sale", since=at(0))), None)
    outside.look()
    outside.records._blobs.clear()
    outside.look()
    assert (words(outside)["shop"], outside.reader.state.records) == ("ok", {})


def test_a_record_that_could_not_be_read_and_was_deleted_is_no_problem_any_more(outside: Outside) -> None:
    outside.look()
    outside.records._blobs[SHOP] = ("{", '"broken"')
    outside.look()
    assert words(outside)["shop"] == "TROUBLE"
    outside.records._blobs.clear()
    outside.look()
    assert (words(outside)["shop"], status(outside).problem) == ("ok", None)


def test_one_that_breaks_keeps_no_other_from_being_read(outside: Outside) -> None:
    etag = outside.records.save(record(), None)
    outside.records.save(Record(target=API, hold=Hold(reason="sale", since=at(0))), None)
    load = outside.records.load

    def broken(target: TargetId) -> tuple[Record, str | None]:
        if target == SHOP:
            raise ZeroDivisionError
        return load(target)

    outside.records.load = broken  # type: ignore[method-assign]
    with capture_logs() as lines:
        outside.look()
    assert words(outside)["api"] == "held"
    assert [(line["log_level"], line["target"]) for line in lines] == [("error", str(SHOP))]
    outside.records.load = load  # type: ignore[method-assign]
    outside.records.save(record(hold=Hold(reason="sale", since=at(0))), etag)
    outside.look()
    assert words(outside)["shop"] == "held"


def test_a_round_that_breaks_is_followed_by_another(outside: Outside) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    outside.reader.round("groups", broken)
    outside.look()
    assert set(words(outside)) == {"shop", "api"}


def test_nothing_is_read_while_nobody_looks() -> None:
    outside, stopping = Outside(), threading.Event()
    outside.reader.start(stopping)
    try:
        assert outside.groups.reads == 0
        shown = outside.reader.shown()  # waits for the first round
        assert (shown.state.is_read, outside.groups.reads, shown.version) == (True, 2, outside.reader.version)
        outside.clock.advance(WATCHED)
        again = outside.reader.shown()
        assert (again.state.last_read(), outside.groups.reads) == (at(WATCHED), 4)
    finally:
        stopping.set()


def test_whoever_comes_next_does_not_wait(outside: Outside) -> None:
    outside.look()
    outside.reader.asked()
    assert outside.reader.shown().state is outside.reader.state


def test_fifty_viewers_cost_as_much_as_one(outside: Outside) -> None:
    outside.look()
    outside.reader.asked()
    for _ in range(50):
        outside.reader.shown()
        outside.look()
    assert outside.groups.reads == 2


def test_a_record_that_can_not_be_read_is_read_again_after_longer_and_longer_pauses(outside: Outside) -> None:
    # Regression: it was read every two seconds for as long as anybody looked.
    etag, tried = outside.records.save(record(), None), list[TargetId]()
    load, unreadable = outside.records.load, RemoteError("records", None, "UnreadableRecord", "no JSON")

    def broken(target: TargetId) -> tuple[Record, str | None]:
        tried.append(target)
        raise unreadable

    outside.records.load = broken  # type: ignore[method-assign]
    for _ in range(300):
        outside.look()
        outside.clock.advance(2)
    assert 5 < len(tried) < 20, "in ten minutes"
    assert outside.reader.state.seen[SHOP].of_record.error
    outside.records.load = load  # type: ignore[method-assign]
    outside.records.save(record(hold=Hold(reason="sale", since=at(0))), etag)
    outside.look()
    assert words(outside)["shop"] == "held", "another version is read at once"


def test_a_record_that_storage_did_not_give_is_read_again_soon(outside: Outside) -> None:
    outside.records.save(record(hold=Hold(reason="sale", since=at(0))), None)
    load, down = outside.records.load, [DOWN]

    def once(target: TargetId) -> tuple[Record, str | None]:
        if down:
            raise down.pop()
        return load(target)

    outside.records.load = once  # type: ignore[method-assign]
    outside.look()
    outside.clock.advance(2)
    outside.look()
    assert words(outside)["shop"] == "held"
