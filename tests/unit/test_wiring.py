"""Wiring: every setting arrives where it counts, and work beside the queue is done by one worker at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from azure.core.credentials import TokenCredential
from structlog.testing import capture_logs

from shared.environment import read_settings
from shared.image import ImageReference
from shared.message import TargetId
from shared.settings import WorkerSettings
from shared.telemetry import Redaction
from tests.fakes import EPOCH, Clock, MemoryQueue, MemoryRecords
from tests.stub_server import Headers, StubServer
from tests.unit.builders import SHOP, message, push
from tests.unit.controller_builders import counted
from tests.unit.storage_wire import CONNECTION
from worker.adapters.registry.granting import Access
from worker.adapters.targets_source import TargetsSource
from worker.controller.sweep import Swept
from worker.discovery.scopes import Scope
from worker.failures.classify import Retry
from worker.policies.policy import AnyTag
from worker.ports import Found, Notice, Unknown
from worker.targets.file import TargetsError
from worker.targets.target import single_target
from worker.wiring.deployment import PATROL, Deployment, flight_of
from worker.wiring.wire import wire

STORAGE = {"AZURE_STORAGE_CONNECTION_STRING": CONNECTION, "AZURE_SUBSCRIPTION_ID": "sub"}
ONE = {"RESOURCE_GROUP_NAME": "web", "CONTAINER_GROUP_NAME": "shop"}
SENT = f"sha256:{'7' * 64}"
FILE = """
targets:
  - {container_group: shop, resource_group: web, containers: {web: {policy: any}}}
  - {container_group: job, resource_group: batch, containers: {job: {policy: any}}}
discover: {resource_groups: [more]}
registries:
  docker.io: {username: "env:HUB_USER", password: "env:HUB_TOKEN"}
  ghcr.io: {believe: always}
  registry.acme.com: {identity: true}
  "10.0.0.4:5000": {scheme: http, realms: [auth.acme.com]}
notify: ["env:CHAT"]
"""


def settings(**more: str) -> WorkerSettings:
    return read_settings(WorkerSettings, STORAGE | (more if "ACI_HOOKS_TARGETS" in more else ONE | more))


def deployment(*, environment: dict[str, str] | None = None, redaction: Redaction | None = None, **more: str) -> Any:
    """A deployment that nothing has been asked of yet, as the untyped thing that a test may look into."""
    return wire(settings(**more), {} if environment is None else environment, redaction or Redaction(()))


@pytest.fixture
def targets(tmp_path: Path) -> Path:
    path = tmp_path / "targets.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


class Claims(MemoryRecords):
    """Records that say who may do what is done by one worker at a time, and remember what was asked."""

    def __init__(self, *, granted: bool = True) -> None:
        super().__init__()
        self.turns: Any = self
        self.granted = granted
        self.asked: list[tuple[str, timedelta]] = []
        self.ensured = 0
        self.noted: list[str] = []

    def claim(self, name: str, now: datetime, interval: timedelta) -> bool:
        assert now.tzinfo is not None
        self.asked.append((name, interval))
        return self.granted

    def note_time(self, name: str, now: datetime) -> None:
        assert now.tzinfo is not None
        self.noted.append(name)

    def noted_time(self, name: str) -> datetime | None:
        return EPOCH if name in self.noted else None

    def ensure(self) -> None:
        self.ensured += 1


class Lines:
    """Azure, of which nothing is asked but what a container wrote last."""

    def __init__(self, asked: list[tuple[TargetId, str, int, float]]) -> None:
        self._asked = asked

    def last_lines(self, target: TargetId, container: str, lines: int, deadline: float) -> str:
        self._asked.append((target, container, lines, deadline))
        return "boom"


class TestRules:
    def test_each_rule_is_its_setting(self) -> None:
        rules = deployment(
            ACI_HOOKS_SOAK="41",
            ACI_HOOKS_ROLLOUT_TIMEOUT="801",
            ACI_HOOKS_CHECK_INTERVAL="7",
            ACI_HOOKS_VISIBILITY_TIMEOUT="50",
            ACI_HOOKS_ROLLBACK="false",
        ).rules()
        assert (rules.soak, rules.timeout) == (timedelta(seconds=41), timedelta(seconds=801))
        assert (rules.check_interval, rules.slow) == (timedelta(seconds=7), timedelta(seconds=60))
        assert (rules.flight, rules.rollback) == (timedelta(seconds=150), False)

    def test_the_slowest_looks_are_never_faster_than_the_first_ones(self) -> None:
        rules = deployment(ACI_HOOKS_CHECK_INTERVAL="90").rules()
        assert (rules.check_interval, rules.slow) == (timedelta(seconds=90), timedelta(seconds=90))

    @pytest.mark.parametrize(
        ("lease", "timeout", "flight"),
        [
            ("30", "900", 90.0),  # three leases
            ("60", "900", 180.0),
            ("10", "900", 90.0),  # Azure may take as long however short a lease is
            ("300", "900", 450.0),  # but a change that was lost is sent again within the rollout's time
            ("30", "100", 50.0),
        ],
    )
    def test_a_change_without_an_answer_may_take_effect_for_three_leases(
        self, lease: str, timeout: str, flight: float
    ) -> None:
        given = settings(ACI_HOOKS_VISIBILITY_TIMEOUT=lease, ACI_HOOKS_ROLLOUT_TIMEOUT=timeout)
        assert flight_of(given) == timedelta(seconds=flight)


class TestWorker:
    def test_its_pace_and_its_patience_are_the_settings(self) -> None:
        made = deployment(
            ACI_HOOKS_CONCURRENCY="3",
            ACI_HOOKS_POLL_MIN="0.2",
            ACI_HOOKS_POLL_MAX="4",
            ACI_HOOKS_VISIBILITY_TIMEOUT="44",
            ACI_HOOKS_MAX_ATTEMPTS="5",
            ACI_HOOKS_RETRY_BASE="6",
            ACI_HOOKS_RETRY_MAX="70",
            ACI_HOOKS_OUTAGE_PATIENCE="8000",
        )
        worker = made.worker()
        pace = worker._pace
        assert (pace.concurrency, pace.poll_min, pace.poll_max, pace.visibility_timeout) == (3, 0.2, 4, 44)
        assert worker._handler._retry == Retry(5, 6, 70, 8000)
        assert worker._handler._looking._lease == 44
        assert (made.updates._visibility_timeout, made.poison._visibility_timeout) == (44, 44)

    def test_it_drains_when_every_message_left_waits_for_its_groups_owner(self) -> None:
        made = replace(deployment(), records=MemoryRecords())
        assert made.worker()._waiting_for_owners() == 0

    def test_the_sweep_and_the_patrol_know_whether_groups_are_rolled_back(self) -> None:
        for text, rollback in (("true", True), ("false", False)):
            made = deployment(ACI_HOOKS_ROLLBACK=text)
            assert (made.sweeper().rollback, made.patrol.rollback) == (rollback, rollback)

    @pytest.mark.parametrize(("text", "lines"), [("", 50), ("7", 7), ("0", None)])
    def test_as_many_lines_of_a_crashed_container_are_read_as_are_wanted(self, text: str, lines: int | None) -> None:
        asked: list[tuple[TargetId, str, int, float]] = []
        given: dict[str, Any] = {"ACI_HOOKS_CRASH_LOG_LINES": text} if text else {}
        made = replace(deployment(**given), arm=Lines(asked))
        read = made.ports.last_lines
        if read is not None:
            assert read(SHOP, "web", 9.0) == "boom"
        assert asked == ([(SHOP, "web", lines, 9.0)] if lines else [])

    def test_ids_are_new_each_time(self) -> None:
        new_id = deployment().ports.new_id
        assert len({new_id() for _ in range(100)}) == 100

    def test_what_secrets_are_read_is_hidden_from_then_on(self) -> None:
        redaction = Redaction(())
        ports = deployment(environment={"PASSWORD": "hunter2!"}, redaction=redaction).ports
        assert ports.redact("hunter2!") == "hunter2!"
        assert ports.resolve({"env/web/P": "env:PASSWORD"}) == {"env/web/P": "hunter2!"}
        assert ports.redact("it was hunter2!") == "it was ***"

    @pytest.mark.parametrize(("said", "digest"), [(Found("sha256:7"), Found("sha256:7")), (Unknown("down"), SENT)])
    def test_the_registry_is_asked_for_a_digest(self, said: Any, digest: Any) -> None:
        class Registry:
            def lookup(self, image: ImageReference) -> Any:
                assert image.tag == "7"
                return said

        made = replace(deployment(), registry=Registry())
        assert made.ports.digest(push("7", digest=SENT, proof="own")) == digest

    def test_whom_to_believe_is_the_files_to_say(self, targets: Path) -> None:
        class Registry:
            def lookup(self, image: ImageReference) -> Unknown:
                return Unknown("down")

        made = replace(deployment(ACI_HOOKS_TARGETS=str(targets)), registry=Registry())
        assert made.ports.digest(push("7", registry="ghcr.io", digest=SENT, proof="token")) == SENT
        assert made.ports.digest(push("7", digest=SENT, proof="token")) is None

    def test_people_are_told_through_the_notifier(self) -> None:
        told: list[Notice] = []

        class Notifier:
            def tell(self, notice: Notice) -> None:
                told.append(notice)

        notice = Notice("updated", "acme/shop:2", "web/shop", "ok")
        replace(deployment(), notifier=Notifier()).ports.tell(notice)
        assert told == [notice]


class TestStorage:
    def test_both_queues_and_the_records_are_created(self) -> None:
        ensured: list[str] = []

        class Queue(MemoryQueue):
            def ensure(self) -> None:
                ensured.append(self.name)

        records = Claims()
        queues = Queue(Clock(), name="updates"), Queue(Clock(), name="poison")
        replace(deployment(), updates=queues[0], poison=queues[1], records=records).ensure_storage()
        assert (ensured, records.ensured) == (["updates", "poison"], 1)

    def test_a_message_is_sent_to_the_updates_queue(self) -> None:
        updates = MemoryQueue(Clock())
        replace(deployment(), updates=updates).send(message("2"))
        assert updates.texts == [message("2").encode()]


class Catalogue:
    """Counts how often the list was renewed."""

    def __init__(self) -> None:
        self.renewed = 0

    def renew(self) -> None:
        self.renewed += 1

    def known(self) -> tuple[str, ...]:
        return ("the targets",)


class TestBesideTheQueue:
    @pytest.mark.parametrize("granted", [True, False])
    def test_every_worker_renews_its_list_and_one_of_them_patrols(self, *, granted: bool) -> None:
        rounds: list[str] = []
        records, catalogue = Claims(granted=granted), Catalogue()
        made = replace(deployment(), records=records, catalogue=catalogue)

        class Patrol:
            def look_round(self) -> None:
                rounds.append("round")

        made.__dict__["patrol"] = Patrol()  # where the cached property keeps it
        made.patrol_if_due()
        assert (catalogue.renewed, records.asked) == (1, [("patrol", PATROL)])
        assert rounds == ["round"] * granted

    def test_a_sweep_is_of_every_target_and_in_the_log(self, monkeypatch: pytest.MonkeyPatch) -> None:
        swept = Swept(message().target, missed=(push("3"),), woken=1, problem="the registry is down")  # type: ignore[arg-type]
        asked: list[Any] = []
        pauses: list[timedelta] = []

        class Sweeper:
            def sweep(self, targets: Any) -> Iterator[Swept]:
                asked.append(targets)
                yield swept

        def sweeper(_self: Deployment, pause: timedelta) -> Sweeper:
            pauses.append(pause)
            return Sweeper()

        monkeypatch.setattr(Deployment, "sweeper", sweeper)
        records = Claims()
        made = replace(deployment(ACI_HOOKS_SWEEP_INTERVAL="3600"), records=records, catalogue=Catalogue())
        with capture_logs() as lines:
            made.sweep_if_due()
        assert records.asked == [("sweep", timedelta(seconds=3600))]
        assert records.noted == ["swept"]
        assert (asked, pauses) == ([("the targets",)], [timedelta(seconds=3600)])
        assert [(line["event"], line["target"], line["missed"], line["woken"], line["problem"]) for line in lines] == [
            ("swept", "web/shop", 1, 1, "the registry is down")
        ]

    def test_a_sweep_that_another_worker_has_done_is_not_repeated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def none(_self: Deployment, _pause: timedelta) -> Any:
            raise AssertionError("nobody sweeps")

        monkeypatch.setattr(Deployment, "sweeper", none)
        replace(deployment(), records=Claims(granted=False), catalogue=Catalogue()).sweep_if_due()

    def test_the_metrics_know_the_last_sweep(self) -> None:
        records = Claims()
        gauging = replace(deployment(), records=records).gauging()
        assert gauging.last_sweep() is None
        records.turns.note_time("swept", EPOCH)
        assert gauging.last_sweep() == EPOCH


class TestTargets:
    def test_without_a_file_the_one_group_of_the_environment_follows_every_tag(self) -> None:
        (target,) = deployment().catalogue.all()
        assert str(target.id) == "web/shop"
        assert (target.id.subscription, target.everything, target.source) == ("sub", AnyTag(), "environment")
        assert target == single_target(target.id)

    def test_of_a_file_its_targets_count_and_what_it_discovers(self, targets: Path) -> None:
        made = deployment(ACI_HOOKS_TARGETS=str(targets))
        assert [str(target.id) for target in made.catalogue.all()] == ["web/shop", "batch/job"]
        assert made.catalogue._scopes() == (
            Scope("sub", "web"),
            Scope("sub", "batch"),
            Scope("sub", "more", discover=True),
        )
        assert counted("aci_hooks_targets_file_valid", file=str(targets)) == 1

    def test_a_broken_file_is_told_at_the_start(self, targets: Path) -> None:
        targets.write_text("targets: 7", encoding="utf-8")
        with pytest.raises(TargetsError, match=r"targets\.yaml"):
            deployment(ACI_HOOKS_TARGETS=str(targets))

    def test_a_newer_version_counts_and_a_broken_one_is_told(
        self, targets: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("worker.wiring.wire.TargetsSource", partial(TargetsSource, interval=0.0))
        look = deployment(ACI_HOOKS_TARGETS=str(targets)).catalogue.all
        with capture_logs() as lines:
            targets.write_text("targets: 7", encoding="utf-8")
            look()
            assert counted("aci_hooks_targets_file_valid", file=str(targets)) == 0
            targets.write_text(FILE.partition("discover")[0] + "# newer\n", encoding="utf-8")
            look()
            assert counted("aci_hooks_targets_file_valid", file=str(targets)) == 1
        broken, changed = lines
        assert (broken["event"], broken["log_level"]) == (
            "the targets file is invalid, keeping the previous version",
            "error",
        )
        assert any("targets" in problem for problem in broken["problems"])
        assert (changed["targets"], changed["discovers"]) == (2, False)


class AskedRegistry:
    """A registry that knows no more than how it is to be asked."""

    def __init__(self, access: Callable[[ImageReference], Access], credential: Callable[[], TokenCredential]) -> None:
        self.access = access


@pytest.mark.usefixtures("asked_registry")
class TestRegistries:
    @pytest.fixture
    def asked_registry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("worker.wiring.wire.Registry", AskedRegistry)

    def access(self, made: Any, image: str) -> Access:
        found: Access = made.registry.access(ImageReference.parse(image))
        return found

    def test_the_login_of_a_registry_is_read_when_it_is_needed(self, targets: Path) -> None:
        environment: dict[str, str] = {}
        made = deployment(environment=environment, ACI_HOOKS_TARGETS=str(targets))
        hub = self.access(made, "acme/shop")
        environment |= {"HUB_USER": "me", "HUB_TOKEN": "sesame-sesame"}
        assert hub.login() == ("me", "sesame-sesame")
        assert self.access(made, "quay.io/acme/shop").login() is None

    def test_one_that_can_not_be_read_says_what_it_is_for(self, targets: Path) -> None:
        made = deployment(ACI_HOOKS_TARGETS=str(targets))
        with pytest.raises(Exception, match=r"registries/docker\.io.*HUB_USER is not set"):
            self.access(made, "acme/shop").login()

    @pytest.mark.parametrize(
        ("image", "identity", "scheme", "realms"),
        [
            ("acme/shop", "never", None, ()),
            ("acme.azurecr.io/shop", "default", None, ()),
            ("registry.acme.com/shop", "always", None, ()),
            ("10.0.0.4:5000/shop", "never", "http", ("auth.acme.com",)),
        ],
    )
    def test_how_it_is_asked_is_the_files_to_say(
        self, targets: Path, image: str, identity: str, scheme: str | None, realms: tuple[str, ...]
    ) -> None:
        access = self.access(deployment(ACI_HOOKS_TARGETS=str(targets)), image)
        assert (access.identity, access.scheme, access.realms) == (identity, scheme, realms)

    def test_what_an_image_is_built_for_is_asked_only_where_a_policy_depends_on_it(self, targets: Path) -> None:
        assert not self.access(deployment(ACI_HOOKS_TARGETS=str(targets)), "acme/shop").platforms
        choosy = FILE.replace("{job: {policy: any}}", "{job: {policy: {platform: linux/amd64}}}")
        targets.write_text(choosy, encoding="utf-8")
        assert self.access(deployment(ACI_HOOKS_TARGETS=str(targets)), "acme/shop").platforms


def test_notices_go_to_the_urls_of_the_file_without_the_known_secrets(targets: Path) -> None:
    posted: Queue[bytes] = Queue()

    def answer(_method: str, _path: str, _headers: Headers, body: bytes) -> tuple[int, Headers, bytes]:
        posted.put(body)
        return 200, {}, b""

    with StubServer(lambda *_: (200, {}, b""), full=answer) as chat:
        redaction = Redaction(["hunter2!"])
        made = deployment(
            environment={"CHAT": f"{chat.url}/a-token-of-1234"},
            redaction=redaction,
            ACI_HOOKS_TARGETS=str(targets),
            AZURE_CLOUD="AzureChinaCloud",
        )
        made.notifier.tell(Notice("failed", "acme/shop:2", "web/shop", "hunter2! was refused", group=SHOP))
        made.notifier.close(30)
    body = json.loads(posted.get(timeout=10))
    assert body["detail"] == "*** was refused"
    assert body["portal"].startswith("https://portal.azure.cn/#resource/subscriptions/sub/resourceGroups/web/")
    assert redaction.text("what of a-token-of-1234 then?") == "what of *** then?"
