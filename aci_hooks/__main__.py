"""aci-hooks: every command of the worker and of the ingress under one name.

The two never import each other; this is the one place above both.
"""

from __future__ import annotations

from worker.__main__ import COMMANDS, command_line
from worker.commands.lazily import Place

INGRESS = {
    "ingress": Place(
        "ingress.__main__:main", "Take webhooks and put their pushes onto the queue."
    ),
    "test-webhook": Place(
        "ingress.test_webhook:test_webhook", "Send a sample webhook to an ingress."
    ),
}

main = command_line({**COMMANDS, **INGRESS})

if __name__ == "__main__":
    main(prog_name="aci-hooks")
