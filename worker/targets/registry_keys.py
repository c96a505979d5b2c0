"""The keys of `registries` in a targets file: a registry's host, or a host and a path in it. Pure."""

from __future__ import annotations

import re

from shared.image import (
    InvalidImage,
    check_registry,
    check_repository,
    is_written_as_host,
)


def check_registry_key(text: str) -> str:
    """`host[:port]` or `host[:port]/path`, normalised; raises InvalidImage."""
    host, slash, path = text.partition("/")
    if not slash:
        return check_registry(text)
    if not is_written_as_host(host):
        raise InvalidImage(
            f"{text[:80]!r} does not begin with a registry's host, as in docker.io/acme"
        )
    return f"{check_registry(host)}/{check_repository(path)}"


def host_of(registry: str) -> str:
    """The host of `host[:port]`, an IPv6 address without its brackets."""
    has_port = not registry.endswith("]")  # [::1] has colons, but no port
    host = registry.rsplit(":", 1)[0] if has_port else registry
    return host.strip("[]")


def nearest_key(text: str) -> str | None:
    """What was probably meant by an invalid key: the same without a scheme, the API's path and wildcards."""
    # https://index.docker.io/v1/ is how Docker's own configuration file names Docker Hub.
    bare = re.sub(r"^https?://|(?:/v[12])?(?:/\*{0,2})?$", "", text)
    in_lower_case = bare.lower()
    on_docker_hub = f"docker.io/{in_lower_case}"
    for guess in (bare, in_lower_case, on_docker_hub, nearest_host(text) or ""):
        if guess != text and _is_key(guess):
            return guess
    return None


def nearest_host(text: str) -> str | None:
    """The host at the beginning of a longer text."""
    host = re.sub(r"^https?://|/.*$", "", text)
    return host if host != text and _is_key(host) else None


def _is_key(text: str) -> bool:
    try:
        check_registry_key(text)
    except InvalidImage:
        return False
    return True
