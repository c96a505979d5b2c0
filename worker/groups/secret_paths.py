"""The names of a container group's secrets, in this code and in the targets file. Pure.

| path | the secret |
|---|---|
| `env/<container>/<NAME>` | a secure environment variable |
| `registry/<server>` | the password for an image registry |
| `volume/<name>/storage-account-key` | the key of the storage account behind an Azure Files volume |
| `volume/<name>/secret/<file>` | one file of a secret volume |
| `log-analytics/workspace-key` | the key of the Log Analytics workspace that the group's logs go to |
| `extension/<name>/protectedSettings` | the protected settings of an extension, a JSON object |
"""

from __future__ import annotations

import re
from difflib import get_close_matches

CONTAINER = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
"""A container's name, as a regular expression: a DNS label."""
PATTERN = (
    rf"^(?:env/{CONTAINER}/[^/\s]+|registry/\S+|volume/[^/\s]+/storage-account-key"
    r"|volume/[^/\s]+/secret/[^/\s]+|log-analytics/workspace-key|extension/[^/\s]+/protectedSettings)$"
)
"""Every path, as a regular expression that JSON Schema understands too."""
WORKSPACE_KEY = "log-analytics/workspace-key"
FORMS = (
    "env/<container>/<NAME>, registry/<server>, volume/<name>/storage-account-key, volume/<name>/secret/<file>, "
    f"{WORKSPACE_KEY} or extension/<name>/protectedSettings"
)
"""The forms of a path, for people."""
_KINDS = ("env", "registry", "volume", "log-analytics", "extension")
_ANY_FILE = "<file>"
_ONE_FILE = re.compile(r"(volume/[^/]+/secret/)[^/]+")
_PROTECTED_SETTINGS = re.compile(r"extension/[^/]+/protectedSettings")
_NEVER_EMPTY = re.compile(
    rf"registry/.+|volume/[^/]+/storage-account-key|{WORKSPACE_KEY}"
)


def variable(container: str, name: str) -> str:
    """The path of an environment variable's value."""
    return f"env/{container}/{name}"


def password(server: str) -> str:
    """The path of the password for the registry `server`."""
    return f"registry/{server}"


def storage_account_key(volume: str) -> str:
    """The path of the storage account's key of an Azure Files volume."""
    return f"volume/{volume}/storage-account-key"


def protected_settings(extension: str) -> str:
    """The path of an extension's protected settings."""
    return f"extension/{extension}/protectedSettings"


def is_file(path: str) -> bool:
    """Whether it is a file of a secret volume, which contains bytes. Every other secret is a text."""
    return _ONE_FILE.fullmatch(path) is not None


def is_object(path: str) -> bool:
    """Whether the secret is a JSON object rather than a text."""
    return _PROTECTED_SETTINGS.fullmatch(path) is not None


def may_be_empty(path: str) -> bool:
    """Whether Azure takes an empty text for this secret, as it does for a variable, and not for a password or a key."""
    return _NEVER_EMPTY.fullmatch(path) is None


def any_file(volume: str) -> str:
    """The path for all files of a secret volume, whose names are not known."""
    return f"volume/{volume}/secret/{_ANY_FILE}"


def file_name(path: str, volume: str) -> str | None:
    """The name of the file that `path` names in this secret volume; None if it names another secret."""
    folder = f"volume/{volume}/secret/"
    return path.removeprefix(folder) if provides(path, any_file(volume)) else None


def provides(configured: str, withheld: str) -> bool:
    """Whether the secret under the path `configured` can be used for the path `withheld`.

    ARM withholds the names of a secret volume's files too. Whether all of them are configured can't be checked, so
    any one of them counts as providing the volume; `check` says so.
    """
    file = _ONE_FILE.fullmatch(configured)
    return configured == withheld or (
        file is not None and withheld == file[1] + _ANY_FILE
    )


def nearest_path(text: str) -> str | None:
    """The path that was probably meant by an invalid text; None if nothing is near."""
    kind, *rest = text.split("/")
    guesses = [WORKSPACE_KEY]
    guesses += [
        "/".join([known, *rest]) for known in get_close_matches(kind, _KINDS, 1)
    ]
    if len(rest) > 2:  # volume/certs/secrets/tls.pem
        guesses.append(f"volume/{rest[0]}/secret/{rest[2]}")
    elif rest:  # volume/data/key, extension/kube-proxy/settings
        guesses += [storage_account_key(rest[0]), protected_settings(rest[0])]
    valid = [guess for guess in guesses if re.fullmatch(PATTERN, guess)]
    return next(iter(get_close_matches(text, valid, 1)), None)
