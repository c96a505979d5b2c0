"""What the messages of failed pulls and starts say, in the words of Azure, containerd and registries. Pure."""

from __future__ import annotations

import re

_PULL = re.compile(r"\bpull(?:ing|ed)?\b(?!-)|ImagePull", re.IGNORECASE)
_START = re.compile(
    r"(?:start|create|run)\w* container|containerd task|(?:create|run)containererror",
    re.IGNORECASE,
)
# The platform's own trouble while a node gets ready. Recorded with a count of 20 on containers that run.
_PLATFORM = re.compile(
    r"CriContainerActivator|is getting initialized|not ready for use", re.IGNORECASE
)
# The registry answers that it has no such image: waiting does not help.
_NO_SUCH_IMAGE = re.compile(
    r"code = NotFound|not found|manifest unknown|name unknown|no match(?:ing manifest)? for|invalid reference",
    re.IGNORECASE,
)
# A limit, an outage, or a missing role. The wordings of registries are documented in
# learn.microsoft.com/azure/container-registry/container-registry-faq and docs.docker.com/docker-hub/usage.
_REGISTRY_TROUBLE = re.compile(
    r"toomanyrequests|too many requests|rate limit|quota|unavailable|overloaded|time(?:d )?out|deadline exceeded"
    r"|no such host|server misbehaving|name resolution|no route to host|network is (?:unreachable|down)|broken pipe"
    r"|connection (?:refused|reset|closed|lost)|\beof\b|context canceled|\btls: |x509: |bad gateway|server error"
    r"|\bstatus\b.{0,80}?\b(?:401|403|408|429|5\d\d)\b|forbidden|not allowed access"
    r"|unauthorized|authentication required|authorization failed|no basic auth|denied",
    re.IGNORECASE,
)
# An image may be called acme/timeout, and an address may hold any word. They say nothing of what went wrong.
_NAMES = re.compile(r'"[^"\s]*"|(?<!\S)[^\s/]*/\S*')


def tells_of_pull(message: str) -> bool:
    """Whether an image could not be pulled, by the message of a failure."""
    # What could not be started has been pulled. Its message names the container, which may be called `pull-worker`, and
    # its image may be of pull.acme.io.
    return _PULL.search(_NAMES.sub("", message)) is not None and not tells_of_start(
        message
    )


def tells_of_start(message: str) -> bool:
    """Whether a container could not be started, by the message of a failure."""
    return _START.search(message) is not None


def is_platforms_trouble(message: str) -> bool:
    """Whether the platform was not ready yet."""
    return _PLATFORM.search(message) is not None


def is_registrys_trouble(message: str) -> bool:
    """Whether a pull failed for a reason that says nothing about the image."""
    said = _NAMES.sub("", message)
    # That there is no such image counts first, whatever else the text says: waiting would not bring it.
    if _NO_SUCH_IMAGE.search(said):
        return False
    return _REGISTRY_TROUBLE.search(said) is not None
