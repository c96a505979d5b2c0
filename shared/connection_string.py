"""The connection string of a storage account: what is wrong with it, before every call of a client fails. Pure.

learn.microsoft.com/azure/storage/common/storage-configure-connection-string. Messages never quote its text.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit


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
    # Where the account is: its name gives every endpoint that is not given.
    has_account = "ACCOUNTNAME" in values
    for service in services:
        endpoint = values.get(f"{service.upper()}ENDPOINT")
        if endpoint is None and not has_account:
            yield f"contains neither AccountName nor {service}Endpoint"
        elif endpoint is not None and not _is_url(endpoint):
            yield f"its {service}Endpoint is not an http or https URL"
    # How to be let in: a key signs with the account's name; a signature stands by itself.
    key = values.get("ACCOUNTKEY")
    if has_account and key is not None:
        if not _is_base64(key):
            yield "its AccountKey is not base64: perhaps a part of it is missing"
    elif "SHAREDACCESSSIGNATURE" not in values:
        yield "contains neither AccountName and AccountKey nor SharedAccessSignature"


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(url.hostname)


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
