"""The Azure credential: the service principal of the settings, else whatever this machine offers."""

from __future__ import annotations

from azure.core.credentials import TokenCredential
from azure.identity import ClientSecretCredential, DefaultAzureCredential

from shared.settings import Settings


def azure_credential(settings: Settings) -> TokenCredential:
    """A service principal if all of its three settings are there, else DefaultAzureCredential (managed identity, …)."""
    if settings.tenant_id and settings.client_id and settings.client_secret:
        return ClientSecretCredential(
            settings.tenant_id,
            settings.client_id,
            settings.client_secret.get_secret_value(),
            authority=settings.cloud.authority,
        )
    return DefaultAzureCredential(authority=settings.cloud.authority)
