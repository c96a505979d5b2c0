"""The adapter of Azure Resource Manager, with the real SDK, on the simulator: the last look before a change is sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from shared.cloud import CLOUDS
from shared.errors import RemoteError
from shared.leased_message import LeaseLost
from shared.message import TargetId
from tests.arm_simulator import ArmSimulator
from tests.site import RESOURCE_GROUP, SUBSCRIPTION, definition
from tests.stub_server import StubServer
from worker.adapters.arm.client import Arm, PlaceholderCredential
from worker.failures.classify import classify, is_circumstance, nothing_done

SHOP = TargetId(subscription=SUBSCRIPTION, resource_group=RESOURCE_GROUP, container_group="shop")
SCOPE = CLOUDS["AzureCloud"].resource_manager_scope


class Lease:
    """A lease that stands for so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def check_lease(self) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise LeaseLost("it")


@pytest.fixture
def simulator() -> Iterator[ArmSimulator]:
    with ArmSimulator() as running:
        running.client.options(transition_seconds=0)
        running.client.put_group(SUBSCRIPTION, RESOURCE_GROUP, "shop", definition({"web": "acme/shop:1"}))
        yield running


@pytest.mark.parametrize(("change", "method"), [("put", "PUT"), ("restart", "POST")])
@pytest.mark.parametrize(("looks", "sent"), [(0, 0), (1, 1), (2, 2)])
def test_a_change_is_not_sent_again_once_the_lease_is_lost(
    simulator: ArmSimulator, change: str, method: str, looks: int, sent: int
) -> None:
    # Found by chaos: a worker that froze between a throttled PUT and the next try undid a push that was proven.
    arm = Arm(PlaceholderCredential(), simulator.url, "2025-09-01", SCOPE, (5, 20))
    simulator.client.fault("throttle", method=method, times=1, retry_after=0)
    lease = Lease(looks)

    def send() -> None:
        if change == "put":
            arm.put(SHOP, arm.get(SHOP).definition({"web": "acme/shop:2"}, {}), lease.check_lease)
        else:
            arm.restart(SHOP, lease.check_lease)

    if looks < 2:
        with pytest.raises(LeaseLost):
            send()
    else:
        send()
    calls = [entry for entry in simulator.client.log() if entry["method"] == method]
    assert len(calls) == sent


ALL = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerInstance/containerGroups?api-version=2025-09-01"


@pytest.mark.parametrize(
    ("next_link", "lists"),
    [
        (f"{{base}}{ALL}&round=1", 2),
        (f"{{base}}{ALL}", 1),
        (f"http://127.0.0.2:9{ALL}", 1),
        (f"http://evil.example{ALL}", 1),
        ("http://[", 1),
        ("file:///etc/passwd", 1),
    ],
    ids=["for ever", "round", "another port", "another host", "no URL", "a file"],
)
def test_a_list_goes_on_at_azures_own_host_alone_and_never_twice(
    simulator: ArmSimulator, next_link: str, lists: int
) -> None:
    arm = Arm(PlaceholderCredential(), simulator.url, "2025-09-01", SCOPE, (5, 20))
    simulator.client.options(next_link=next_link)
    with pytest.raises(RemoteError, match="the next page of the list of groups"):
        list(arm.list(SUBSCRIPTION))
    assert simulator.client.stats()["lists"] == lists


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("call", ["get", "list", "put", "restart", "last_lines"])
def test_no_answer_leads_elsewhere_with_what_is_sent(call: str, status: int) -> None:
    with StubServer(lambda *_: (200, {}, b'{"value": []}')) as elsewhere:
        with StubServer(lambda *_: (status, {"Location": f"{elsewhere.url}/there"}, b"")) as azure:
            arm = Arm(PlaceholderCredential(), azure.url, "2025-09-01", SCOPE, (5, 20))
            calls: dict[str, Callable[[], object]] = {
                "get": lambda: arm.get(SHOP),
                "list": lambda: list(arm.list(SUBSCRIPTION)),
                "put": lambda: arm.put(SHOP, b'{"secureValue": "hunter2"}', lambda: None),
                "restart": lambda: arm.restart(SHOP, lambda: None),
                "last_lines": lambda: arm.last_lines(SHOP, "web", 50, time.monotonic() + 5),
            }
            with pytest.raises(RemoteError):
                calls[call]()
        assert elsewhere.asked == []


def test_a_list_of_several_pages_is_read_to_its_end(simulator: ArmSimulator) -> None:
    arm = Arm(PlaceholderCredential(), simulator.url, "2025-09-01", SCOPE, (5, 20))
    simulator.client.put_group(SUBSCRIPTION, RESOURCE_GROUP, "api", definition({"web": "acme/api:1"}))
    simulator.client.options(page_size=1)
    assert [group.id.container_group for group in arm.list(SUBSCRIPTION)] == ["api", "shop"]


@pytest.mark.parametrize("body", [b"[]", b"{", b"", b"<html>", b"\xff", b"{}", b'{"id": "/subscriptions/s"}'])
def test_what_is_no_group_is_an_error_of_ours(body: bytes) -> None:
    with answering(body) as url, pytest.raises(RemoteError) as error:
        Arm(PlaceholderCredential(), url, "2025-09-01", SCOPE, (5, 20)).get(SHOP)
    assert error.value.service == "arm"


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"",
        b"null",
        b'"x"',
        b"<html>",
        b"{}",
        b'{"value": null}',
        b'{"value": {}}',
        b'{"value": [null]}',
        b'{"value": [{}]}',
        b'{"value": [{"id": "/subscriptions/s"}]}',
    ],
)
def test_what_is_no_list_is_no_empty_list(body: bytes) -> None:
    # Regression: `[]` and `{}`, as a proxy may answer, passed for a complete list, by which every group was gone.
    with answering(body) as url, pytest.raises(RemoteError) as error:
        list(Arm(PlaceholderCredential(), url, "2025-09-01", SCOPE, (5, 20)).list(SUBSCRIPTION))
    assert (error.value.service, error.value.code) == ("arm", "BadGateway")


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>"), (202, b"{}")])
def test_after_an_answer_that_is_not_azures_a_change_may_be_under_way(status: int, body: bytes) -> None:
    # Regression: such an answer passed for a refusal for good, after which nothing can be on its way.
    with answering(body, status=status) as url, pytest.raises(RemoteError) as error:
        Arm(PlaceholderCredential(), url, "2025-09-01", SCOPE, (5, 20)).put(SHOP, b"{}", lambda: None)
    assert error.value.code == "BadGateway"
    assert not nothing_done(error.value)
    assert is_circumstance(classify(error.value))


def test_names_are_spelt_as_a_url_needs_it(simulator: ArmSimulator) -> None:
    odd = SHOP.model_copy(update={"container_group": "a?b#c%2f"})
    with pytest.raises(RemoteError) as error:
        Arm(PlaceholderCredential(), simulator.url, "2025-09-01", SCOPE, (5, 20)).get(odd)
    assert error.value.status == 404


class TestLastLines:
    """What a container said last: by one try, in time, and whatever the answer is."""

    def read(self, url: str, container: str = "web", seconds: float = 30) -> str:
        arm = Arm(PlaceholderCredential(), url, "2025-09-01", SCOPE, (5, 20))
        return arm.last_lines(SHOP, container, 2, time.monotonic() + seconds)

    def test_the_last_lines_of_a_log_are_read(self, simulator: ArmSimulator) -> None:
        simulator.client.image("acme/shop:1", output="one\ntwo\nthrée\n")
        simulator.client.put_group(SUBSCRIPTION, RESOURCE_GROUP, "shop", definition({"web": "acme/shop:1"}))
        assert self.read(simulator.url) == "two\nthrée\n"

    @pytest.mark.parametrize(
        ("container", "status", "code"), [("other", 404, "ContainerNotFound"), ("a/../b?c", 404, "NotFound")]
    )
    def test_a_refusal_is_an_error_of_ours(
        self, simulator: ArmSimulator, container: str, status: int, code: str
    ) -> None:
        with pytest.raises(RemoteError) as error:
            self.read(simulator.url, container)
        assert (error.value.status, error.value.code) == (status, code)

    def test_a_missing_right_names_the_action(self, simulator: ArmSimulator) -> None:
        simulator.client.options(may_read_logs=False)
        with pytest.raises(RemoteError, match=r"containerGroups/containers/logs/read'") as error:
            self.read(simulator.url)
        assert (error.value.service, error.value.status) == ("arm", 403)

    @pytest.mark.parametrize("fault", ["throttle", "error", "reset"])
    def test_there_is_one_try(self, simulator: ArmSimulator, fault: str) -> None:
        simulator.client.fault(fault, route="logs", retry_after=0)
        with pytest.raises(RemoteError):
            self.read(simulator.url)
        assert len([entry for entry in simulator.client.log() if entry["path"].endswith("/logs")]) == 1

    def test_nobody_waits_for_longer_than_was_said(self, simulator: ArmSimulator) -> None:
        simulator.client.fault("stall", route="logs", seconds=600)
        with pytest.raises(RemoteError, match="no answer in time"):
            self.read(simulator.url, seconds=0.2)

    @pytest.mark.parametrize(
        ("body", "content"),
        [
            (b'{"content": "boom"}', "boom"),
            (b'{"content": null}', ""),
            (b"{}", None),
            (b'["boom"]', None),
            (b"<html>", None),
            (b"\xff", None),
            (json.dumps({"content": "x" * 5_000_000}).encode(), None),
        ],
        ids=["text", "null", "none", "a list", "HTML", "no text", "far too much"],
    )
    def test_an_answer_of_any_kind(self, body: bytes, content: str | None) -> None:
        with answering(body) as url:
            if content is not None:
                assert self.read(url) == content
                return
            with pytest.raises(RemoteError, match=r"the log has more than|the answer contains no log"):
                self.read(url)

    def test_an_answer_that_trickles_in_is_given_up_in_time(self) -> None:
        with answering(b'{"content": "' + b"x" * 600 + b'"}', pause=0.1) as url, pytest.raises(RemoteError) as error:
            self.read(url, seconds=0.3)
        assert error.value.code == "Timeout"


@contextmanager
def answering(body: bytes, pause: float = 0, status: int = 200) -> Iterator[str]:
    """A server that answers everything with this body, a byte after each `pause` if there is one."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            step = 1 if pause else max(1, len(body))
            try:
                for start in range(0, len(body), step):
                    self.wfile.write(body[start : start + step])
                    if stopping.wait(pause):
                        return
            except ConnectionError:
                return  # the client has gone, as it should

        def log_message(self, *_: object) -> None:
            """Nothing."""

    stopping = threading.Event()
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        stopping.set()
        server.shutdown()
        thread.join()
