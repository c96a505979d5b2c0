"""The group that `--demo` sets up."""

from .client import SimulatorClient
from .messages import Json

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
RESOURCE_GROUP = "demo"
GROUP = "shop"


def _container(name: str, image: str, port: int, cpu: float) -> Json:
    requests = {"cpu": cpu, "memoryInGB": cpu}
    return {
        "name": name,
        "properties": {"image": image, "ports": [{"port": port}], "resources": {"requests": requests}},
    }


def set_up(client: SimulatorClient) -> None:
    """A shop behind a proxy, with a public IP and a DNS label."""
    properties = {
        "containers": [_container("web", "acme/shop:v1", 8080, 1.0), _container("proxy", "nginx:1.27", 80, 0.5)],
        "osType": "Linux",
        "restartPolicy": "Always",
        "ipAddress": {"type": "Public", "dnsNameLabel": "acme-shop", "ports": [{"protocol": "TCP", "port": 80}]},
    }
    client.put_group(SUBSCRIPTION, RESOURCE_GROUP, GROUP, {"location": "westeurope", "properties": properties})
