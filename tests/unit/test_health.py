"""How a container fares after a change, by ARM's instance view."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.unit.builders import Json, at, crash_loop, digest, event, running, waiting
from worker.groups.events import pulled_digest
from worker.groups.health import Broken, Health, Healthy, Pending, container_health, with_inits

PULL_FAILED = 'Failed to pull image "acme/shop:2": rpc error: code = NotFound'


def health(view: Json, *, policy: str = "Always", group_events: tuple[Json, ...] = (), since: float = 0) -> Health:
    return container_health(view, group_events, policy, at(since))


def terminated(exit_code: object, finished: float = 5, detail: str = "") -> Json:
    state = {"state": "Terminated", "exitCode": exit_code, "finishTime": at(finished).isoformat()}
    return {"currentState": state | {"detailStatus": detail}}


class TestRunning:
    @pytest.mark.parametrize(
        ("started", "events", "since"),
        [
            (10, (), 10),
            (0, (), 0),
            (-2, (), 0),
            (10, (event("BackOff", 25, "", "Warning"),), 25),
            (10, (event("BackOff", 5, "", "Warning"),), 10),
            (10, (event("BackOff", -99, "", "Warning"),), 10),
            (10, (event("Pulling", 25),), 10),
            (10, (event("A", 25, "", "Warning"), event("B", 35, "", "Warning"), event("C", 30, "", "Warning")), 35),
        ],
    )
    def test_it_is_healthy_since_its_start_or_its_last_warning(
        self, started: float, events: tuple[Json, ...], since: float
    ) -> None:
        assert health(running(started, *events)) == Healthy(at(since))

    def test_a_warning_of_the_group_counts(self) -> None:
        mount = event("FailedMountAzureFileVolume", 25, "no such share", "Warning")
        assert health(running(10), group_events=(mount,)) == Healthy(at(25))

    @pytest.mark.parametrize("start", [at(-2.001).isoformat(), None, 7, "soon"])
    def test_what_ran_before_the_change_is_pending(self, start: object) -> None:
        view = {"currentState": {"state": "Running", "startTime": start}}
        assert health(view) == Pending("has not been restarted yet", started=False)


class TestTerminated:
    @pytest.mark.parametrize(
        ("policy", "exit_code", "expected"),
        [
            ("Never", 0, Healthy(at(0), ended=True)),
            ("OnFailure", 0, Healthy(at(0), ended=True)),
            ("Always", 0, Pending("ended with exit code 0 and will be restarted")),
            ("Always", 1, Pending("ended with exit code 1 and will be restarted")),
            ("OnFailure", 1, Pending("failed with exit code 1 and will be restarted")),
            ("Never", 1, Broken("ContainerFailed", "ended with exit code 1 (Error)")),
            ("Never", None, Broken("ContainerFailed", "ended with exit code None (Error)")),
            ("Never", 7147, Pending("ended with exit code 7147 and will be restarted")),
            ("OnFailure", 7148, Pending("ended with exit code 7148 and will be restarted")),
        ],
    )
    def test_by_exit_code_and_restart_policy(self, policy: str, exit_code: object, expected: Health) -> None:
        assert health(terminated(exit_code, detail="Error"), policy=policy) == expected

    def test_an_end_without_a_detail_is_told_without(self) -> None:
        assert health(terminated(2), policy="Never") == Broken("ContainerFailed", "ended with exit code 2")

    @pytest.mark.parametrize(("finished", "before"), [(-2, False), (-2.001, True)])
    @pytest.mark.parametrize("exit_code", [0, 1])
    def test_what_ended_before_the_change_is_pending(self, finished: float, exit_code: int, *, before: bool) -> None:
        result = health(terminated(exit_code, finished), policy="Never")
        assert (result == Pending("has not been restarted yet", started=False)) == before


class TestCrashLoop:
    def test_it_is_broken_with_the_evidence(self) -> None:
        back_off = "CrashLoopBackOff: Back-off 10s restarting failed"
        evidence = f"{back_off}; 1 restarts; last exit code 1 (Error)"
        assert health(crash_loop(5)) == Broken("CrashLoop", evidence)

    def test_the_evidence_is_what_there_is(self) -> None:
        view = {"currentState": {"state": "Waiting", "detailStatus": "CrashLoopBackOff"}}
        assert health(view) == Broken("CrashLoop", "CrashLoopBackOff; 0 restarts; last exit code unknown")

    @pytest.mark.parametrize(("crashed", "broken"), [(-2, True), (-2.001, False)])
    def test_a_crash_before_the_change_does_not_count(self, crashed: float, *, broken: bool) -> None:
        result = health(crash_loop(crashed))
        assert isinstance(result, Broken) == broken
        if not broken:
            assert result == Pending("is waiting (CrashLoopBackOff: Back-off 10s restarting failed)")

    @pytest.mark.parametrize("exit_code", [7147, 7148])
    def test_platform_maintenance_is_not_the_images_fault(self, exit_code: int) -> None:
        view = crash_loop(5)
        view["previousState"]["exitCode"] = exit_code
        assert isinstance(health(view), Pending)


class TestKilledByThePlatform:
    """The exit code may be that of the signal. Then only an event tells that the platform sent it."""

    @pytest.mark.parametrize(
        ("name", "text", "killed", "broken"),
        [
            ("Killing", "Killing container with id 0a1b (platform initiated).", 5, False),
            ("Killing", "Killing container with id 0a1b (Platform Initiated).", 5, False),
            ("Killing", "Killing container with id 0a1b (platform initiated).", 7, False),
            ("Killing", "Killing container with id 0a1b (platform initiated).", 7.1, True),
            ("Killing", "Killing container with id 0a1b (platform initiated).", -55, False),
            ("Killing", "Killing container with id 0a1b (platform initiated).", -55.1, True),
            ("Killing", "Killing container with id 0a1b.", 5, True),
            ("Failed", "platform initiated", 5, True),
        ],
    )
    def test_that_says_nothing_of_the_image(self, name: str, text: str, killed: float, *, broken: bool) -> None:
        told = {"events": [event(name, killed, text)]}
        looping = crash_loop(5)
        looping["previousState"]["exitCode"] = 137
        for view, policy in ((terminated(137, 5), "Never"), (looping, "Always")):
            assert isinstance(health(view | told, policy=policy), Broken) is broken

    @pytest.mark.parametrize("finish", [None, "", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999Z", "soon", 7])
    def test_an_end_at_a_time_that_nobody_has_set_was_not_the_platforms(self, finish: object) -> None:
        # Regression: a duration taken from such a time is beyond the calendar, and the exception ended each look.
        looping = crash_loop(5) | {"events": [event("Killing", 5, "platform initiated") | {"lastTimestamp": finish}]}
        looping["previousState"] |= {"exitCode": 137, "finishTime": finish}
        assert isinstance(health(looping), Broken)


class TestOnItsWay:
    @pytest.mark.parametrize(
        ("view", "reason"),
        [
            ({}, "is unknown"),
            ({"currentState": None, "events": None}, "is unknown"),
            ({"currentState": {"state": "Waiting", "detailStatus": ""}}, "is waiting"),
            (
                {"currentState": {"state": "Waiting", "detailStatus": "ContainerCreating"}},
                "is waiting (ContainerCreating)",
            ),
            ({"currentState": {"state": "Dreaming"}}, "is dreaming"),
        ],
    )
    def test_any_other_state_is_pending(self, view: Json, reason: str) -> None:
        assert health(view) == Pending(reason)


class TestPullFailure:
    @pytest.mark.parametrize(
        ("events", "broken"),
        [
            ([event("Failed", 0, PULL_FAILED)], True),
            ([event("Failed", 5, PULL_FAILED)], True),
            ([event("Failed", -0.001, PULL_FAILED)], False),
            ([event("Failed", 5, PULL_FAILED), event("Pulled", 9)], False),
            ([event("Pulled", 9), event("Failed", 5, PULL_FAILED)], False),
            ([event("Failed", 5, PULL_FAILED), event("Pulled", 5)], True),
            ([event("Failed", 5, PULL_FAILED), event("Pulled", -50)], True),
            ([event("Failed", -9, PULL_FAILED), event("Failed", 5, PULL_FAILED)], True),
            ([event("Failed", 5, "Error: cannot start")], False),
            ([event("BackOff", 5, PULL_FAILED)], False),
        ],
    )
    def test_it_is_broken_unless_it_was_pulled_later(self, events: list[Json], *, broken: bool) -> None:
        view = {"currentState": {"state": "Waiting", "detailStatus": ""}, "events": events}
        assert health(view) == (Broken("ImagePullFailed", PULL_FAILED) if broken else Pending("is waiting"))

    def test_the_newest_failure_is_told(self) -> None:
        events = [event("Failed", 7, "pull: second"), event("Failed", 5, "pull: first")]
        assert health({"events": events}) == Broken("ImagePullFailed", "pull: second")

    def test_the_groups_events_count(self) -> None:
        assert isinstance(health(waiting(), group_events=(event("Failed", 9, PULL_FAILED),)), Broken)

    @pytest.mark.parametrize("failed", [3, 9, 99])
    def test_what_runs_since_the_change_has_been_pulled(self, failed: float) -> None:
        # Neither broken, nor made to wait: the platform counts on failed pulls that are long over.
        assert health(running(5, event("Failed", failed, PULL_FAILED, "Warning"))) == Healthy(at(5))

    @pytest.mark.parametrize(
        ("why", "circumstance"),
        [
            ("rpc error: code = NotFound desc = failed to pull and unpack image", False),
            ("manifest unknown", False),
            ("no match for platform in manifest", False),
            ("code = NotFound: unexpected status code 401 Unauthorized", False),
            ("something else", False),
            ("toomanyrequests: You have reached your pull rate limit", True),
            ("unexpected status code: 429 Too Many Requests", True),
            ("unexpected status code 503 Service Unavailable", True),
            ("dial tcp 10.0.0.1:443: i/o timeout", True),
            ("net/http: request canceled (context deadline exceeded)", True),
            ("lookup acme.azurecr.io: no such host", True),
            ("read: connection reset by peer", True),
            ("failed to authorize: unauthorized: authentication required", True),
            ("pull access denied, repository does not exist or may require authorization", True),
            ("unexpected status from HEAD request to https://acme.azurecr.io/v2/shop/manifests/2: 403 Forbidden", True),
            ("unexpected status code [manifests 2]: 403 Forbidden", True),
            ("unexpected status from GET request to https://acme.azurecr.io/v2/: 520 <none>", True),
            ('Error response from daemon: Get "https://registry-1.docker.io/v2/": EOF', True),
            ('failed to do request: Head "https://acme.io/v2/": lookup acme.io: server misbehaving', True),
            ("dial tcp 10.0.0.1:443: connect: no route to host", True),
            ("remote error: tls: internal error", True),
            ("insufficient_scope: authorization failed", True),
            ("client with IP '10.0.0.1' is not allowed access", True),
            ("failed to register layer: no space left on device", False),
            ("no matching manifest for linux/amd64 in the manifest list entries", False),
            ("unexpected status 404 Not Found", False),
        ],
    )
    def test_a_registrys_trouble_says_nothing_of_the_image(self, why: str, *, circumstance: bool) -> None:
        text = f'Failed to pull image "acme/shop:2": {why}'
        assert health(waiting() | {"events": [event("Failed", 5, text)]}) == Broken(
            "ImagePullFailed", text, circumstance
        )

    @pytest.mark.parametrize("name", ["acme/timeout-service:2", "acme/denied@" + "sha256:" + "5" * 64, "quota:2"])
    def test_what_an_image_is_called_says_nothing_of_why_its_pull_failed(self, name: str) -> None:
        text = f'Failed to pull image "{name}": failed to unpack acme/unauthorized/layer: unexpected header'
        assert health(waiting() | {"events": [event("Failed", 5, text)]}) == Broken("ImagePullFailed", text)

    @pytest.mark.parametrize(
        ("first", "last", "broken"), [(1, 5, True), (-300, 1, False), (-300, 60, True), (-9, -5, False)]
    )
    def test_a_failure_that_names_no_image_is_told_from_those_before_by_its_times(
        self, first: float, last: float, *, broken: bool
    ) -> None:
        failed = event("Failed", last, "Error: ErrImagePull") | {"firstTimestamp": at(first).isoformat()}
        view = waiting() | {"events": [failed]}
        assert isinstance(container_health(view, [], "Always", at(0), "acme/shop:2"), Broken) is broken

    @pytest.mark.parametrize(
        "why",
        [
            "CriContainerActivator is getting initialized and not ready for use.",
            "the runtime is getting initialized",
        ],
    )
    def test_a_hiccup_of_the_platform_is_waited_for(self, why: str) -> None:
        text = f'Failed to pull image "acme/shop:2": {why}'
        assert health(waiting() | {"events": [event("Failed", 5, text)]}) == Pending("is waiting")


class TestStartFailure:
    REFUSED = "Error: Failed to start container web, Error response: to create containerd task: denied"

    @pytest.mark.parametrize(
        ("view", "broken"),
        [
            (waiting(), True),
            ({"currentState": {"state": "Terminated", "exitCode": 128, "finishTime": at(6).isoformat()}}, True),
            (running(-99), False),
            (running(9), False),
        ],
    )
    def test_what_does_not_run_and_could_not_be_started_is_broken(self, view: Json, *, broken: bool) -> None:
        result = health(view | {"events": [event("Failed", 5, self.REFUSED, "Warning")]})
        assert (result == Broken("ContainerStartFailed", self.REFUSED)) is broken

    @pytest.mark.parametrize(
        ("first", "last", "broken"), [(0, 0, True), (-1, 5, False), (-1, 59, False), (-1, 60, True), (-9, -1, False)]
    )
    def test_what_could_not_be_started_before_the_change_may_fail_once_more(
        self, first: float, last: float, *, broken: bool
    ) -> None:
        failed = event("Failed", last, self.REFUSED, "Warning") | {"firstTimestamp": at(first).isoformat()}
        assert isinstance(health(waiting() | {"events": [failed]}), Broken) is broken

    def test_a_time_that_is_cut_to_the_second_may_seem_to_be_before_the_change(self) -> None:
        failed = event("Failed", 6, self.REFUSED, "Warning") | {"firstTimestamp": at(5).isoformat()}
        assert isinstance(health(waiting() | {"events": [failed]}, since=5.7), Broken)

    def test_the_newest_one_is_told(self) -> None:
        events = [event("Failed", 7, "Failed to create containerd task: b"), event("Failed", 5, self.REFUSED)]
        assert health(waiting() | {"events": events}) == Broken(
            "ContainerStartFailed", "Failed to create containerd task: b"
        )

    def test_a_container_may_be_called_as_a_pull_is(self) -> None:
        text = 'Error: Failed to start container pull-worker, Error response: exec "/run.sh": permission denied'
        result = health(waiting() | {"events": [event("Failed", 5, text, "Warning")]})
        assert result == Broken("ContainerStartFailed", text)
        ran = health(running(1, event("Failed", 5, text, "Warning")))
        assert ran == Healthy(at(5))

    @pytest.mark.parametrize(("started", "broken"), [(9, False), (5, True), (1, True), (-9, True)])
    def test_a_later_start_outweighs_it(self, started: float, *, broken: bool) -> None:
        events = [event("Started", started, "Started container"), event("Failed", 5, self.REFUSED, "Warning")]
        ended = terminated(0, 20) | {"events": events}
        assert isinstance(health(ended), Broken) is broken

    @pytest.mark.parametrize(
        "text",
        [
            "Error: cannot mount",
            'Error: cannot mount a volume of container pull-worker, image "pull.acme.io/pull:2"',
            "Failed to start container: CriContainerActivator is getting initialized",
        ],
    )
    def test_other_failures_are_waited_for(self, text: str) -> None:
        assert health(waiting() | {"events": [event("Failed", 5, text, "Warning")]}) == Pending("is waiting")


class TestInitContainers:
    BROKEN = Broken("CrashLoop", "it crashes")

    def test_what_waits_for_a_broken_one_is_broken(self) -> None:
        inits: dict[str, Health] = {"a": Pending("is waiting"), "b": self.BROKEN}
        assert with_inits(Pending("is waiting"), inits) == Broken("CrashLoop", "init container b: it crashes")

    @pytest.mark.parametrize(
        "own", [Healthy(at(5)), Broken("CrashLoop", "mine"), Pending("has not been restarted yet", started=False)]
    )
    def test_what_does_not_wait_is_judged_by_itself(self, own: Health) -> None:
        assert with_inits(own, {"b": self.BROKEN}) == own

    def test_those_that_are_under_way_or_over_are_waited_for(self) -> None:
        own = Pending("is waiting")
        assert with_inits(own, {"a": Pending("is waiting"), "b": Healthy(at(5), ended=True)}) == own

    def test_the_old_container_may_still_run(self) -> None:
        assert health(running(-99, event("Failed", 9, PULL_FAILED))) == Broken("ImagePullFailed", PULL_FAILED)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-01T12:00:10Z", 10),
        ("2026-01-01T12:00:10.5Z", 10.5),
        ("2026-01-01T12:00:10.1234567Z", 10.123456),
        ("2026-01-01T12:00:10.123456789+00:00", 10.123456),
        ("2026-01-01T13:00:10+01:00", 10),
        ("2026-01-01T12:00:10", 10),
    ],
)
def test_azures_times_are_read(text: str, seconds: float) -> None:
    assert health({"currentState": {"state": "Running", "startTime": text}}) == Healthy(at(seconds))


class TestPulledDigest:
    ONE, TWO = digest("one"), digest("two")

    def pulled(self, seconds: float, which: str) -> Json:
        return event("Pulled", seconds, f'Successfully pulled image "acme/shop@{which}"')

    @pytest.mark.parametrize(("since", "found"), [(None, True), (at(9), True), (at(11), True), (at(11.001), False)])
    def test_not_older_than_asked_for(self, since: datetime | None, *, found: bool) -> None:
        view = {"events": [self.pulled(9, self.TWO)]}
        assert pulled_digest(view["events"], since) == (self.TWO if found else None)

    @pytest.mark.parametrize("order", [1, -1])
    def test_the_newest_one(self, order: int) -> None:
        view = {"events": [self.pulled(1, self.ONE), self.pulled(9, self.TWO)][::order]}
        assert pulled_digest(view["events"]) == self.TWO

    @pytest.mark.parametrize(
        "events",
        [
            [],
            [event("Pulling", 1, f"acme/shop@{digest('one')}")],
            [event("Pulled", 1, 'Successfully pulled image "acme/shop:1"')],
            [{"name": "Pulled", "message": None}],
        ],
    )
    def test_none_without_such_an_event(self, events: Any) -> None:
        assert pulled_digest(events) is None
        assert pulled_digest(events, at(0)) is None


INDEX, PLATFORM, OTHER = digest("index"), digest("platform"), digest("other")


@pytest.mark.parametrize(
    ("image", "named", "broken"),
    [
        (None, "acme/shop:2", True),
        ("acme/shop:2", "acme/shop:2", True),
        ("docker.io/acme/shop:2", "acme/shop:2", True),
        ("not an image!", "acme/shop:2", True),
        ("acme/shop:2", "not-an-Image!", True),
        ("acme/shop:3", "acme/shop:2", False),
        (f"acme/shop@{INDEX}", "acme/shop:2", False),
        ("acme/shop:2", f"acme/shop@{PLATFORM}", True),
        ("acme/shop:2", f"index.docker.io/acme/shop@{PLATFORM}", True),
        (f"acme/shop@{INDEX}", f"acme/shop@{PLATFORM}", True),
        (f"acme/shop@{PLATFORM}", f"acme/shop@{PLATFORM}", True),
        ("acme/shop:2", f"acme/side@{PLATFORM}", False),
        ("acme/shop:2", f"ghcr.io/acme/shop@{PLATFORM}", False),
    ],
)
def test_the_failed_pull_of_another_image_is_not_its_fault(image: str | None, named: str, *, broken: bool) -> None:
    # Found by chaos, seed 42: the last pull of the image before failed after the change.
    view = waiting() | {"events": [event("Failed", 6, f'Failed to pull image "{named}": no', "Warning")]}
    assert isinstance(container_health(view, [], "Always", at(0), image), Broken) is broken


def test_a_failed_pull_without_a_first_time_is_told_by_its_last() -> None:
    failed = event("Failed", 6, f'Failed to pull image "acme/shop@{PLATFORM}": no')
    del failed["firstTimestamp"]
    for since, broken in ((0, True), (6, True), (7, False)):
        view = waiting() | {"events": [failed]}
        assert isinstance(container_health(view, [], "Always", at(since), "acme/shop:2"), Broken) is broken


@pytest.mark.parametrize(
    ("first", "last", "others", "broken"),
    [
        (0, 6, [], True),
        (-1, 6, [], False),
        (-1, 60, [], True),
        (0, 6, [event("Pulling", 9, f'pulling image "acme/shop@{OTHER}"')], False),
        (0, 6, [event("Pulling", 5, f'pulling image "acme/shop@{OTHER}"')], True),
        (0, 6, [event("Pulling", 9, f'pulling image "acme/shop@{PLATFORM}"')], True),
        (0, 6, [event("Pulling", 9, 'pulling image "acme/shop:2"')], True),
        (0, 6, [event("Pulled", 9, f'Successfully pulled image "acme/shop@{OTHER}"')], False),
        (0, 6, [event("Pulling", 6, f'pulling image "acme/shop@{OTHER}"')], True),
        (0, 6, [event("Started", 9, f"acme/shop@{OTHER}")], True),
        (0, 0, [], True),
        (-1, 59.999, [], False),
    ],
)
def test_a_failed_pull_by_a_digest_is_told_from_those_before_by_its_times(
    first: float, last: float, others: list[Json], *, broken: bool
) -> None:
    text = f'Failed to pull image "acme/shop@{PLATFORM}": no'
    failed = event("Failed", last, text) | {"firstTimestamp": at(first).isoformat()}
    view = waiting() | {"events": [failed, *others]}
    assert isinstance(container_health(view, [], "Always", at(0), "acme/shop:2"), Broken) is broken


@pytest.mark.parametrize(
    ("others", "broken"),
    [
        ([], True),
        ([event("Failed", -20, f'Failed to pull image "acme/shop@{PLATFORM}": another reason')], False),
        ([event("Failed", -600, f'Failed to pull image "acme/shop@{PLATFORM}": no')], False),
        ([event("Failed", -600.1, f'Failed to pull image "acme/shop@{PLATFORM}": no')], True),
        ([event("Failed", -20, f'Failed to pull image "acme/shop@{OTHER}": no')], True),
        ([event("Failed", -20, f'Failed to pull image "acme/shop@{PLATFORM}": no'), event("Started", -9)], True),
        ([event("Failed", -20, f'Failed to pull image "acme/shop@{PLATFORM}": no'), event("Started", -29)], False),
        ([event("Failed", -20, f'Failed to pull image "acme/shop@{PLATFORM}": no'), event("Started", 3)], False),
        ([event("BackOff", -20, f'Back-off pulling image "acme/shop@{PLATFORM}"')], True),
    ],
)
def test_failures_that_are_told_one_by_one_began_with_the_first(others: list[Json], *, broken: bool) -> None:
    failed = event("Failed", 6, f'Failed to pull image "acme/shop@{PLATFORM}": no')
    view = waiting() | {"events": [*others, failed]}
    assert isinstance(container_health(view, [], "Always", at(0), "acme/shop:2"), Broken) is broken
    late = [failed, event("Failed", 60, f'Failed to pull image "acme/shop@{PLATFORM}": no')]
    view = waiting() | {"events": [*others, *late]}
    assert isinstance(container_health(view, [], "Always", at(0), "acme/shop:2"), Broken)


def test_a_failed_pull_of_the_very_digest_is_its_own_however_early_it_began() -> None:
    text = f'Failed to pull image "acme/shop@{PLATFORM}": no'
    failed = event("Failed", 6, text) | {"firstTimestamp": at(-1).isoformat()}
    view = waiting() | {"events": [failed]}
    assert isinstance(container_health(view, [], "Always", at(0), f"acme/shop@{PLATFORM}"), Broken)


@pytest.mark.parametrize(("first", "broken"), [(0, True), (0.3, False), (0.5, True)])
def test_a_time_that_azure_has_cut_to_the_second_counts_from_the_second_on(first: float, *, broken: bool) -> None:
    text = f'Failed to pull image "acme/shop@{PLATFORM}": no'
    failed = event("Failed", 6, text) | {"firstTimestamp": at(first).isoformat()}
    view = waiting() | {"events": [failed]}
    assert isinstance(container_health(view, [], "Always", at(0.5), "acme/shop:2"), Broken) is broken


def test_a_start_that_went_well_is_no_failed_one() -> None:
    view = waiting() | {"events": [event("Started", 6, "Started container web")]}
    assert isinstance(container_health(view, [], "Always", at(0), "acme/shop:2"), Pending)
