"""The credential's errors: one line, not a page."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError

from shared.azure_errors import translated
from shared.credential import Brief
from shared.errors import RemoteError

# As azure-identity 1.25 writes it, but shorter.
NOTHING_FOUND = """DefaultAzureCredential failed to retrieve a token from the included credentials.
Attempted credentials:
\tEnvironmentCredential: EnvironmentCredential authentication unavailable. Environment variables are not configured.
Visit https://aka.ms/azsdk/python/identity/environmentcredential/troubleshoot to troubleshoot this issue.
\tManagedIdentityCredential: ManagedIdentityCredential authentication unavailable.
\tAzureCliCredential: Azure CLI not found on path
To mitigate this issue, please refer to the troubleshooting guidelines here at https://aka.ms/azsdk."""
REFUSED = (
    "Authentication failed: AADSTS7000215: Invalid client secret provided. Trace ID: 1 Correlation ID: 2 Timestamp: 3"
)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (
            NOTHING_FOUND,
            "no credential found (ManagedIdentityCredential authentication unavailable): set AZURE_TENANT_ID, "
            "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, use a managed identity, or run az login",
        ),
        (REFUSED, "Authentication failed: AADSTS7000215: Invalid client secret provided."),
        ("one\ntwo", "one"),
    ],
)
def test_an_error_is_one_line(message: str, line: str) -> None:
    class Broken:
        def get_token(self, *_scopes: str, **_options: Any) -> Any:
            raise ClientAuthenticationError(message=message)

    with pytest.raises(RemoteError) as caught, translated("queue"):
        Brief(Broken()).get_token("scope")
    assert (caught.value.code, caught.value.message) == ("CredentialUnavailable", line)
