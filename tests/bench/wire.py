"""Messages as they lie on the queue, written as the outside surface has them: any version of the worker takes them."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from typing import Any

from shared.image import ImageReference
from shared.message import to_base64
from tests.chaos.stage import RESOURCE_GROUP, SUBSCRIPTION


def push(image: str, pushed_at: datetime | None = None, group: str | None = None) -> str:
    """A push of this image, or with a `group` its rollout onto that one."""
    now, named = datetime.now(UTC), ImageReference.parse(image)
    message: dict[str, Any] = {
        "schema": "aci-hooks/1",
        "id": secrets.token_hex(16),
        "kind": "rollout" if group else "push",
        "push": {
            "sender": "bench",
            "registry": named.registry,
            "repository": named.repository,
            "tag": named.tag,
            "pushed_at": (pushed_at or now).isoformat(),
        },
        "received_at": now.isoformat(),
    }
    if group:
        names = {"subscription": SUBSCRIPTION, "resource_group": RESOURCE_GROUP, "container_group": group}
        message["target"] = names
    return to_base64(json.dumps(message))
