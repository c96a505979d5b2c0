"""What people are told by real workers, of pushes that really were rolled out or failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.site import SUBSCRIPTION, Site
from tests.stub_server import listening


def ran_before(notice: Any) -> dict[str, str]:
    """What ran before, by its tag: the digest is known as well."""
    parts = {name: image.partition("@") for name, image in notice["from"].items()}
    assert all(digest.startswith("sha256:") for _, _, digest in parts.values())
    return {name: image for name, (image, _, _) in parts.items()}


def test_an_update_a_rollback_and_its_repetition_are_told(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "targets.yaml"
    file.write_text(
        "targets: [{container_group: shop, resource_group: web, containers: {web: {policy: any}}}]\n"
        "notify: ['env:CHAT', {url: 'env:PHONE', on: [rolled-back], groups: ['web/*']},\n"
        "         {url: 'env:OTHERS', groups: ['batch/*']}]\n",
        encoding="utf-8",
    )
    last_words = "starting\nKeyError: 'DB_URL'\n"
    with listening() as (chat, told), listening() as (phone, rang), listening() as (others, nothing):
        site.environment |= {
            "ACI_HOOKS_TARGETS": str(file),
            "CHAT": f"http://{chat}/hook",
            "PHONE": f"ntfy://{phone}/on-call",
            "OTHERS": f"http://{others}/hook",
        }
        site.push("acme/shop:v2")
        site.drain()
        for tag in ("v3", "v4"):
            site.arm.image(f"acme/shop:{tag}", "crash-loop", output=last_words)
        bad = site.push("acme/shop:v3")
        site.drain()
        site.push("acme/shop:v4")
        site.drain()
    updated, rolled_back, again = told
    assert (updated["outcome"], updated["image"]) == ("updated", "docker.io/acme/shop:v2")
    assert ran_before(updated) == {"web": "acme/shop:v1"}
    assert (rolled_back["outcome"], rolled_back["code"], rolled_back["id"]) == ("rolled-back", "CrashLoop", bad.id)
    assert ran_before(rolled_back) == {"web": "acme/shop:v2"}
    assert rolled_back["log"].endswith("KeyError: 'DB_URL'")
    assert f"subscriptions/{SUBSCRIPTION}/resourceGroups/web/" in rolled_back["portal"]
    assert again["image"] == "docker.io/acme/shop:v4", "another worker has no memory of the one before"
    assert [body["topic"] for body in rang] == ["on-call"] * 2
    assert "KeyError" in rang[0]["message"]
    assert nothing == []
