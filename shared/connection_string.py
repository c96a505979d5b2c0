"""The connection string of a storage account: what is wrong with it, before every call of a client fails. Pure.

learn.microsoft.com/azure/storage/common/storage-configure-connection-string. Messages never quote its text.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from shared.local_hosts import PLAIN_HTTP, is_local


def tidied(text: str) -> str:
    """The same without spaces and line breaks around its parts, which the SDK would take for parts of their names."""
    parts = (part.strip() for part in text.split(";"))
    return ";".join(part for part in parts if part)


def connection_problems(text: str, services: Iterable[str]) -> Iterator[str]:
    """Why the tidied `text` can't be used for a client of `services` (Queue, Blob)."""
    parts = [part.partition("=") for part in text.split(";")]
    are_well_formed = all(name and equals for name, equals, _ in parts)
    if not are_well_formed:
        yield "must be Name=value pairs separated by semicolons"
        return
    values = {name.upper(): value for name, _, value in parts if value}
    if values.get("USEDEVELOPMENTSTORAGE") == "true":  # Azurite on this machine
        return
    yield from _problems_of_places(values, services)
    # How to be let in: a key signs with the account's name; a signature stands by itself.
    has_account, key = "ACCOUNTNAME" in values, values.get("ACCOUNTKEY")
    if has_account and key is not None:
        if not _is_base64(key):
            yield "its AccountKey is not base64: perhaps a part of it is missing"
    elif "SHAREDACCESSSIGNATURE" not in values:
        yield "contains neither AccountName and AccountKey nor SharedAccessSignature"


def _problems_of_places(
    values: Mapping[str, str], services: Iterable[str]
) -> Iterator[str]:
    """What is wrong with where the account is: its name gives every endpoint that is not given."""
    given = {service: values.get(f"{service.upper()}ENDPOINT") for service in services}
    for service, endpoint in given.items():
        if endpoint is None:
            if "ACCOUNTNAME" not in values:
                yield f"contains neither AccountName nor {service}Endpoint"
        elif not _is_url(endpoint):
            yield f"its {service}Endpoint is not an http or https URL"
        elif _is_in_the_clear(endpoint):
            yield f"its {service}Endpoint must be an https URL; {PLAIN_HTTP}"
    # The account's own endpoints are never on this machine. Without a suffix, the SDK takes https whatever this says.
    is_plain = values.get("DEFAULTENDPOINTSPROTOCOL", "").lower() == "http"
    if is_plain and "ENDPOINTSUFFIX" in values and None in given.values():
        yield f"its DefaultEndpointsProtocol must be https; {PLAIN_HTTP}"


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(url.hostname)


def _is_in_the_clear(endpoint: str) -> bool:
    """Would signatures and messages cross a network unencrypted?"""
    url = urlsplit(endpoint)
    return url.scheme == "http" and not is_local(url.hostname or "")


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
