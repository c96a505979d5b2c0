"""Which URLs a registry is asked at, and which of those that it sends us to are safe to follow. Pure.

A registry's answer names URLs of its choice, for a token or a redirect. None of them may make us send anything in plain
text, except from a registry that is itself asked so, and none may get to see credentials that are not its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import httpx

from shared.image import DOCKER_HUB, ImageReference
from shared.local_hosts import is_local
from worker.adapters.registry.answers import bad_answer
from worker.targets.registry_keys import host_of

_HUB_HOST = "registry-1.docker.io"
_NOT_ASKED = "one of its URLs is not https, or can't be requested"
# Registries whose token servers have another domain, by their own documentation.
_KNOWN_REALMS = {"dhi.io": {"auth.docker.io"}}
# Domains below which every name belongs to somebody else, at whatever depth: clouds put the region in between, as in
# shop.westeurope.azurecontainer.io. publicsuffix.org lists thousands; these are those that images are pulled from, that
# containers are published at, and that give everybody a name. Where this is too strict, `realms` in the targets file
# says more.
_SHARED = re.compile(
    r"(.+\.)?("
    r"azurecr\.(io|us|cn)|azurecontainer\.(io|us|cn)|azurewebsites\.(net|us)|azurecontainerapps\.(io|us|cn)"
    r"|cloudapp\.(net|azure\.(com|us|cn))|usgovcloudapp\.net|chinacloudapp\.cn|chinacloudsites\.cn"
    r"|windows\.net|azurefd\.net|azureedge\.net|trafficmanager\.net|azure-api\.net|azurestaticapps\.net"
    r"|amazonaws\.(com(\.cn)?|eu)|on\.aws|cloudfront\.net|awsapprunner\.com|elasticbeanstalk\.com"
    r"|pkg\.dev|gcr\.io|run\.app|web\.app|appspot\.com|firebaseapp\.com|cloudfunctions\.net"
    r"|oss-[a-z0-9-]+\.aliyuncs\.com|obs\.[a-z0-9-]+\.myhuaweicloud\.com|scw\.cloud|ovh\.net|ondigitalocean\.app"
    r"|jfrog\.io|cloudsmith\.com|sonatype\.app|github\.io|githubusercontent\.com|gitlab\.io"
    r"|herokuapp\.com|onrender\.com|fly\.dev|workers\.dev|pages\.dev|vercel\.app|netlify\.app|railway\.app|deno\.dev"
    r"|ngrok(-free)?\.(io|app|dev)|trycloudflare\.com|loca\.lt|ts\.net"
    r"|nip\.io|sslip\.io|duckdns\.org|ddns\.net|dyndns\.org|no-ip\.(org|biz)|hopto\.org|eu\.org"
    r"|(br|cn|de|eu|gb|hu|jp|ru|sa|se|uk|us|za)\.com"
    r")"
)
# The second level of national domains that is nobody's own: co.uk, com.au, gov.cn, mi.it …
_NATIONAL = re.compile(
    r"(ac|ad|co|com|ed|edu|gob|gouv|gov|go|gr|info|lg|ltd|me|mil|ne|net|nom|or|org|plc|re|sch)\.[a-z]{2}"
    r"|[a-z]{2}\.(cn|it|jp|kr|us)"
)
_NOT_NATIONAL = frozenset(
    {"io", "ai", "co", "me", "tv", "cc", "sh", "to", "ly", "gg", "is", "so", "ac", "fm"}
)
"""Country codes that are sold as if they were none: `k8.io` is somebody's own."""


def safe_url(
    text: str, base: httpx.URL | None, registry: httpx.URL | None = None
) -> httpx.URL:
    """A URL that `registry` sent us to, relative to `base`: https, or plain http where the registry is asked so itself.

    Raises RemoteError, which does not repeat the URL: its query may be as good as a secret.
    """
    url = _parsed(text, base)
    if registry and _is_behind_tls_proxy(url, registry):
        url = url.copy_with(scheme="https", port=registry.port)
    # The registry itself is asked in plain text, so nothing is lost if it sends us to its own host or to a local one.
    may_be_plain = (
        registry is not None
        and registry.scheme == "http"
        and (is_local(url.host) or url.host == registry.host)
    )
    is_safe = url.scheme == "https" or (url.scheme == "http" and may_be_plain)
    if not is_safe:
        raise bad_answer(_NOT_ASKED)
    return _asked(url)


def _is_behind_tls_proxy(url: httpx.URL, registry: httpx.URL) -> bool:
    """Whether the registry names itself in plain http: a proxy does TLS for it, and nobody has told the registry."""
    is_itself = url.host == registry.host
    return is_itself and (url.scheme, registry.scheme) == ("http", "https")


def _parsed(text: str, base: httpx.URL | None) -> httpx.URL:
    try:
        return base.join(text) if base else httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise bad_answer("one of its URLs is malformed") from error


def _asked(url: httpx.URL) -> httpx.URL:
    # A URL with a user and a password would have the client send them as our own.
    can_be_asked = bool(url.host) and not url.userinfo and (url.port or 0) <= 65535
    if not can_be_asked:
        raise bad_answer(_NOT_ASKED)
    return url


def base_url(image: ImageReference, scheme: str | None = None) -> httpx.URL:
    """Where the protocol's URLs of the image's repository begin: https, or plain http at a local host or if so said."""
    address = _HUB_HOST if image.registry == DOCKER_HUB else image.registry
    scheme = scheme or ("http" if is_local(host_of(address)) else "https")
    return _asked(_parsed(f"{scheme}://{address}/v2/{image.repository}/", base=None))


def same_origin(url: httpx.URL, other: httpx.URL) -> bool:
    """Do both lead to the same server, so that what it granted may be shown to it? RFC 6454."""
    return (url.scheme, url.host, url.port) == (other.scheme, other.host, other.port)


def is_own_realm(realm: str, registry: str, listed: Collection[str] = ()) -> bool:
    """May a host of a token server be shown the credentials of a registry's host: is it of the same owner, or listed?

    A registry names its token server itself; whoever can change that answer must not get the password with it.
    """
    known = {host_of(host) for host in listed} | _KNOWN_REALMS.get(registry, set())
    if realm == registry or realm in known:
        return True
    domain = registrable_domain(registry)
    return domain is not None and domain == registrable_domain(realm)


def registrable_domain(host: str) -> str | None:
    """The part of a name that somebody has registered (`docker.io`); None for addresses and names of one label.

    Rather too long than too short: what is not certain to be of one owner counts as two.
    """
    labels = host.lower().rstrip(".").split(".")
    # An address belongs to whoever has it today, and a name of one label to the network that resolves it.
    is_address = labels[-1].isdecimal() or ":" in host
    if is_address or len(labels) < 2:
        return None
    # Asked of the whole name first: below a domain of one owner, a part may be everybody's, such as a cloud's stores.
    if _SHARED.fullmatch(".".join(labels)):
        return ".".join(labels)
    for count in range(2, len(labels) + 1):
        domain = ".".join(labels[-count:])
        if not _is_national(domain):
            return domain
    return host.lower()


def _is_national(domain: str) -> bool:
    """Is it the second level of a nation's domain, below which everybody registers names?"""
    is_sold_freely = domain.rpartition(".")[2] in _NOT_NATIONAL
    return bool(_NATIONAL.fullmatch(domain)) and not is_sold_freely
