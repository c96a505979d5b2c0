"""The Azure credential: the service principal of the settings, else whatever this machine offers."""

from __future__ import annotations

import re
from typing import Any

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential, DefaultAzureCredential

from shared.settings import Settings

_MENDS = "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, use a managed identity, or run az login"


def azure_credential(settings: Settings) -> TokenCredential:
    """A service principal if all of its three settings are there, else DefaultAzureCredential (managed identity, …)."""
    # The three settings count only together. AZURE_CLIENT_ID alone chooses a managed identity, and is not half of a
    # service principal.
    if settings.tenant_id and settings.client_id and settings.client_secret:
        return Brief(
            ClientSecretCredential(
                settings.tenant_id,
                settings.client_id,
                settings.client_secret.get_secret_value(),
                authority=settings.cloud.authority,
            )
        )
    return Brief(DefaultAzureCredential(authority=settings.cloud.authority))


class NoToken(ClientAuthenticationError):
    """No token could be obtained; the message gives the reason in one line."""

    error_code = "CredentialUnavailable"


class Brief:
    """A credential whose errors are one line each. azure-identity writes a paragraph for every source that it tried."""

    def __init__(self, credential: TokenCredential) -> None:
        self._credential = credential

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token. Raises NoToken."""
        try:
            return self._credential.get_token(*scopes, **options)
        except ClientAuthenticationError as error:
            raise NoToken(message=in_a_line(str(error.message))) from error


def in_a_line(message: str) -> str:
    """The essence of an error message of azure-identity."""
    managed = re.search(r"\tManagedIdentityCredential: (.*)", message)
    if managed:  # one of the many that DefaultAzureCredential tried, and the one that is meant in production
        return f"no credential found ({managed[1].rstrip('. ')}): {_MENDS}"
    # Microsoft Entra's ids and times, which differ with every try, stand at the end.
    return re.split(r"\n| Trace ID:", message.strip(), maxsplit=1)[0]
