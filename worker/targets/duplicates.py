"""Groups and registries that a targets file gives twice.

They are found in the raw data. A validator of the model would not run at all while any single group is invalid, and
whoever corrects a file wants to see all mistakes at once.
"""

from __future__ import annotations

from shared.image import InvalidImage
from worker.targets.document import Data, Document, spell
from worker.targets.registry_keys import check_registry_key


def report_duplicates(document: Document, default_subscription: str | None) -> None:
    """Report every group and registry that is given twice."""
    if not isinstance(document.data, dict):
        return
    _report_groups_named_twice(
        document, document.data.get("targets"), default_subscription
    )
    _report_registries_named_twice(document, document.data.get("registries"))


def _report_groups_named_twice(
    document: Document, entries: Data, default_subscription: str | None
) -> None:
    if not isinstance(entries, list):
        return
    seen: dict[str, int] = {}
    for index, entry in enumerate(entries):
        group = _group_in(entry, default_subscription)
        if group is None:
            continue
        # Azure compares these names without regard to case.
        first = seen.setdefault(group.lower(), index)
        if first != index:
            path = ("targets", first)
            document.report(
                ("targets", index),
                f"the same group as {spell(path)}, line {document.lines[path]}",
            )


def _group_in(entry: Data, default_subscription: str | None) -> str | None:
    """The group that an entry of `targets` names, by subscription, resource group and name; None if one is missing."""
    if not isinstance(entry, dict):
        return None
    subscription = entry.get("subscription") or default_subscription
    names = (subscription, entry.get("resource_group"), entry.get("container_group"))
    texts = [name for name in names if isinstance(name, str)]
    return "/".join(texts) if len(texts) == len(names) else None


def _report_registries_named_twice(document: Document, hosts: Data) -> None:
    if not isinstance(hosts, dict):
        return
    seen: dict[str, str] = {}
    for host in hosts:
        try:
            first = seen.setdefault(check_registry_key(host), host)
        except InvalidImage:
            # The model has reported it.
            continue
        if first != host:
            document.report(("registries", host), f"the same registry as {first}")
