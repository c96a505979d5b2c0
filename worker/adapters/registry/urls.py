"""Which URLs a registry is asked at, and which of those that it sends us to are safe to follow. Pure.

A registry's answer names URLs of its choice, for a token, a redirect or the next page. None of them may make us send
anything in plain text, except from one local host to another.
"""

from __future__ import annotations

import httpx

from shared.image import DOCKER_HUB, ImageReference
from shared.settings import is_local
from worker.adapters.registry.answers import bad_answer

_HUB_HOST = "registry-1.docker.io"


def safe_url(text: str, base: httpx.URL | None, local: bool) -> httpx.URL:
    """A URL that a registry sent us to, relative to `base`: https, or plain http from one local host to another.

    Raises RemoteError, which does not repeat the URL: its query may be as good as a secret.
    """
    try:
        url = base.join(text) if base else httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise bad_answer("a URL of it is malformed") from error
    between_local_hosts = local and is_local(url.host)
    is_private = url.scheme == "https" or (url.scheme == "http" and between_local_hosts)
    can_be_asked = bool(url.host) and not url.userinfo and (url.port or 0) <= 65535
    if not (is_private and can_be_asked):
        raise bad_answer("a URL of it is not https, or can't be asked")
    return url


def base_url(image: ImageReference) -> httpx.URL:
    """Where the protocol's URLs of the image's repository begin: https, or plain http at a local host."""
    local = is_local(_host(image.registry))
    scheme = "http" if local else "https"
    address = _HUB_HOST if image.registry == DOCKER_HUB else image.registry
    return safe_url(f"{scheme}://{address}/v2/{image.repository}/", base=None, local=local)


def same_origin(url: httpx.URL, other: httpx.URL) -> bool:
    """Do both lead to the same server, so that what it granted may be shown to it? RFC 6454."""
    return (url.scheme, url.host, url.port) == (other.scheme, other.host, other.port)


def _host(registry: str) -> str:
    """The host of `host[:port]`, an IPv6 address without its brackets."""
    has_port = not registry.endswith("]")  # [::1] has colons, but no port
    host = registry.rsplit(":", 1)[0] if has_port else registry
    return host.strip("[]")
