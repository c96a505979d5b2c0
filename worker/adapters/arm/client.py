"""Azure Resource Manager: read, list, PUT and restart container groups. The one importer of its SDK.

Bodies go in and out as the bytes that ARM gave: the SDK's models would drop every property that its version does not
know. The SDK's own retries are off: worker.failures.retrying and the queue are the retry layers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.rest import HttpRequest
from azure.mgmt.containerinstance import ContainerInstanceManagementClient

from shared import tracing
from shared.azure_errors import translated
from shared.credential import azure_credential
from shared.errors import RemoteError
from shared.message import TargetId
from shared.metrics import ARM_CALLS, WRITES_REMAINING
from shared.settings import WorkerSettings
from shared.time_limit import TimeLimit
from worker.adapters.arm.answers import (
    Page,
    group_of,
    log_of,
    note_answer,
    origin,
    page_of,
)
from worker.failures.retrying import call_with_retries, call_with_retries_if_untouched
from worker.groups.group import ContainerGroup

_TOKEN_LIFE = 3600
_LOGS_AT_ONCE = 4


class PlaceholderCredential:
    """For an endpoint on plain http, which is never Azure: a token that means nothing, and no credential looked up."""

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """A placeholder."""
        return AccessToken("placeholder", int(time.time()) + _TOKEN_LIFE)


class _Quotas(SansIOHTTPPolicy[Any, Any]):
    """Notes what each answer about a subscription says of its quotas."""

    def __init__(self, subscription: str) -> None:
        self._subscription = subscription

    def on_response(
        self,
        request: PipelineRequest[Any],  # noqa: ARG002 - azure-core passes it
        response: PipelineResponse[Any, Any],
    ) -> None:
        """Note it."""
        WRITES_REMAINING.note(self._subscription, response.http_response.headers.get)


class Arm:
    """The container groups of any subscription. Every method raises RemoteError, of status 404 if a group is gone."""

    def __init__(
        self,
        credential: TokenCredential,
        endpoint: str,
        api_version: str,
        scope: str,
        timeouts: tuple[float, float],
    ) -> None:
        self._credential = credential
        self._endpoint = endpoint
        self._api_version = api_version
        self._options: dict[str, Any] = {
            "retry_total": 0,
            "connection_timeout": timeouts[0],
            "read_timeout": timeouts[1],
            "credential_scopes": [scope],
            # A PUT holds every secret of its group, and the SDK would send it again to wherever an answer points.
            "permit_redirects": False,
        }
        # Per call: azure-core refuses to send a token over plain http unless it is told to.
        self._call: dict[str, Any] = (
            {} if endpoint.startswith("https:") else {"enforce_https": False}
        )
        self._call["raw_response_hook"] = note_answer
        # The timeouts above are for each byte that comes; nothing waits for a log for longer than it was meant to.
        self._logs = TimeLimit("arm", _LOGS_AT_ONCE)
        self._clients: dict[str, ContainerInstanceManagementClient] = {}
        self._lock = threading.Lock()

    def get(self, target: TargetId) -> ContainerGroup:
        """The group as it is."""
        url = self._url(target)

        def get() -> ContainerGroup:
            # The SDK's own `get` makes its models of the answer before it throws them away: half of the time that many
            # groups take.
            with self._asked("get", "GET", target.subscription, target):
                response = self._client(target.subscription)._send_request(
                    HttpRequest("GET", url), **self._call
                )
                response.raise_for_status()
                return ContainerGroup(*group_of(response))

        ARM_CALLS.labels("get").inc()
        return call_with_retries(get)

    def put(
        self, target: TargetId, definition: bytes, check_lease: Callable[[], None]
    ) -> None:
        """Bring a definition onto the group and return when ARM has accepted it. An error without an answer, and any
        5xx, may come after it took effect.

        `check_lease` is called before each try, when there is a token: what it raises ends them, with nothing sent.
        """

        # The SDK's own poller is turned off: it would keep a thread busy for minutes, and the looks watch the group.
        # The hook runs once there is a token, right before the request is sent. A check any earlier would be worth
        # little, because fetching the token may take longer than the lease lasts.
        def put() -> None:
            with self._asked("put", "PUT", target.subscription, target):
                self._groups(target.subscription).begin_create_or_update(
                    target.resource_group,
                    target.container_group,
                    definition,
                    polling=False,
                    raw_request_hook=lambda _: check_lease(),
                    **self._call,
                )

        ARM_CALLS.labels("put").inc()
        call_with_retries_if_untouched(put)

    def restart(self, target: TargetId, check_lease: Callable[[], None]) -> None:
        """Restart every container of the group and return when ARM has accepted it. `check_lease` as for `put`."""

        def restart() -> None:
            with self._asked("restart", "POST", target.subscription, target):
                self._groups(target.subscription).begin_restart(
                    target.resource_group,
                    target.container_group,
                    polling=False,
                    raw_request_hook=lambda _: check_lease(),
                    **self._call,
                )

        ARM_CALLS.labels("restart").inc()
        call_with_retries_if_untouched(restart)

    def list(
        self, subscription: str, resource_group: str | None = None
    ) -> Iterator[ContainerGroup]:
        """Every group of a subscription or resource group, without any instance view."""
        scope = f"/resourceGroups/{resource_group}" if resource_group else ""
        url = (
            f"{self._endpoint}/subscriptions/{subscription}{scope}/providers/Microsoft.ContainerInstance"
            f"/containerGroups?api-version={self._api_version}"
        )
        seen: set[str] = set()
        while url:
            # Each page is asked for with our token. So no answer may lead to another host, nor round in a circle.
            # Azure's `nextLink` is a whole URL of its own making.
            if origin(url) != origin(self._endpoint) or url in seen:
                raise RemoteError(
                    "arm",
                    None,
                    "BadGateway",
                    f"the next page of the list of groups is not at its own host, or was read before: {url[:200]}",
                )
            seen.add(url)
            groups, following, ahead = call_with_retries(
                partial(self._page, subscription, url)
            )
            yield from (ContainerGroup(raw, ahead) for raw in groups)
            url = following

    def last_lines(
        self, target: TargetId, container: str, lines: int, deadline: float
    ) -> str:
        """The last lines that a container, or init container, wrote since it was last started, by one try.

        https://learn.microsoft.com/rest/api/container-instances/containers/list-logs
        """
        url = f"{self._url(target, 'containers', container, 'logs')}&tail={lines}"

        def read() -> str:
            with self._asked("logs", "GET", target.subscription, target):
                return log_of(
                    self._client(target.subscription)._send_request(
                        HttpRequest("GET", url), stream=True, **self._call
                    )
                )

        ARM_CALLS.labels("logs").inc()
        # The span belongs to the step that asks, although another thread waits for the answer.
        return self._logs.run(partial(copy_context().run, read), deadline)

    def _url(self, target: TargetId, *below: str) -> str:
        """Where a group is, or something below it."""
        # A record or a message may hold any names. Quoted, none of them can lead to another resource.
        names = (target.subscription, target.resource_group, target.container_group)
        subscription, resource_group, name = (quote(part, safe="") for part in names)
        path = "".join(f"/{quote(part, safe='')}" for part in below)
        return (
            f"{self._endpoint}/subscriptions/{subscription}/resourceGroups/{resource_group}"
            f"/providers/Microsoft.ContainerInstance/containerGroups/{name}{path}?api-version={self._api_version}"
        )

    def _page(self, subscription: str, url: str) -> Page:
        # The SDK's own list deserialises every group into its models; its pipeline gives the page as it is.
        ARM_CALLS.labels("list").inc()
        with self._asked("list", "GET", subscription):
            response = self._client(subscription)._send_request(
                HttpRequest("GET", url), **self._call
            )
            response.raise_for_status()
            return page_of(response)

    @contextmanager
    def _asked(
        self, what: str, method: str, subscription: str, target: TargetId | None = None
    ) -> Iterator[None]:
        """One request: a span of the running step, and the SDK's errors as RemoteError."""
        attributes = {
            "http.request.method": method,
            "server.address": urlsplit(self._endpoint).hostname,
            "azure.resource_provider.namespace": "Microsoft.ContainerInstance",
            "azure.resource_group.name": target.resource_group if target else None,
            "aci_hooks.subscription": subscription,
            "aci_hooks.target": str(target) if target else None,
        }
        with tracing.call(f"arm {what}", attributes), translated("arm"):
            yield

    def _groups(self, subscription: str) -> Any:
        return self._client(subscription).container_groups

    def _client(self, subscription: str) -> ContainerInstanceManagementClient:
        # The SDK's client is for one subscription. It is kept, and with it its connections and its token.
        with self._lock:
            if subscription not in self._clients:
                self._clients[subscription] = ContainerInstanceManagementClient(
                    self._credential,
                    subscription,
                    base_url=self._endpoint,
                    api_version=self._api_version,
                    per_call_policies=[_Quotas(subscription)],
                    **self._options,
                )
            return self._clients[subscription]


def open_arm(
    settings: WorkerSettings, *, timeouts: tuple[float, float] = (5, 20)
) -> Arm:
    """The Resource Manager of these settings."""
    plain = settings.arm_endpoint.startswith("http:")
    credential: TokenCredential = (
        PlaceholderCredential() if plain else azure_credential(settings)
    )
    scope = settings.cloud.resource_manager_scope
    return Arm(
        credential, settings.arm_endpoint, settings.arm_api_version, scope, timeouts
    )
