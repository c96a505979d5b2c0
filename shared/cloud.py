"""The Azure clouds: where each one's directory, Resource Manager and storage live.

Source: learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure and
learn.microsoft.com/azure/china/resources-developer-guide.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cloud:
    """One cloud's addresses. `authority` and `portal` are hosts, the others a URL and a domain."""

    authority: str
    resource_manager: str
    storage_suffix: str
    portal: str

    @property
    def resource_manager_scope(self) -> str:
        """The scope of tokens for Azure Resource Manager."""
        return f"{self.resource_manager}/.default"


CLOUDS = {
    "AzureCloud": Cloud(
        "login.microsoftonline.com",
        "https://management.azure.com",
        "core.windows.net",
        "portal.azure.com",
    ),
    "AzureUSGovernment": Cloud(
        "login.microsoftonline.us",
        "https://management.usgovcloudapi.net",
        "core.usgovcloudapi.net",
        "portal.azure.us",
    ),
    "AzureChinaCloud": Cloud(
        "login.chinacloudapi.cn",
        "https://management.chinacloudapi.cn",
        "core.chinacloudapi.cn",
        "portal.azure.cn",
    ),
}
