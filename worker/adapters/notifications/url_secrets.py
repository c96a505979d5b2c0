"""The secrets within the URL of a recipient, which the logs hide one by one: an error may quote any of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote

_SHORTEST_TOKEN = 12
_SHORTEST_PASSWORD = 4
# A token has digits and letters. Words, hosts and addresses have to stay legible in every other line of the log.
_TOKEN = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w:=~+-]+")


def secrets_in(url: str) -> Iterator[str]:
    """The passwords and tokens in a URL of Apprise, or in any other one."""
    _, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    authority, _, path = place.partition("/")
    user, at, host = authority.rpartition("@")
    name, _, password = user.partition(":")
    # Without a password, the name is a token, as in ntfys://tk_0123abcd@ntfy.example.com/my-topic.
    if at and len(password or name) >= _SHORTEST_PASSWORD:
        yield unquote(password or name)
    values = [value for _, value in parse_qsl(query)]
    for part in (host, name, *path.split("/"), *values):
        text = unquote(part)
        if len(text) >= _SHORTEST_TOKEN and _TOKEN.fullmatch(text):
            yield text
