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
    plain = url.scheme == "http" and local and is_local(url.host)
    if not url.host or url.userinfo or (url.port or 0) > 65535 or not (url.scheme == "https" or plain):
        raise bad_answer("a URL of it is not https, or can't be asked")
    return url


def base_url(image: ImageReference) -> httpx.URL:
    """Where the protocol's URLs of the image's repository begin: https, or plain http at a local host."""
    host = image.registry if image.registry.endswith("]") else image.registry.rsplit(":", 1)[0]
    local = is_local(host.strip("[]"))
    address = _HUB_HOST if image.registry == DOCKER_HUB else image.registry
    return safe_url(f"{'http' if local else 'https'}://{address}/v2/{image.repository}/", None, local)


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Do both lead to the same server, so that what it granted may be shown to it? RFC 6454."""
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)
