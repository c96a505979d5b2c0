"""What befalls twelve groups in one night of real workers, and how each of our ways to tell it tells it.

Four groups are fine, one crashes, one's image can't be pulled, one misses a secret, one is held, and one's registry is
dead. The others belong to the alerts (tests/integration/test_monitoring.py), whose night this is.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.night import serve
from tests.processes import PROJECT, environment_of, wait_until
from tests.site import Site

PATIENCE = 90.0
REGISTRY = "registry.internal.example"
GROUPS = ("accounts", "catalogue", "search", "invoices", "api", "tracking", "parcels")
"""Those of this module; the held group and the one that misses a secret are among those of the alerts."""
LAST_WORDS = 'starting, version 2.1.0\nKeyError: "DB_URL"\npassword=hunter22hunter22\n'
ENDS = {
    "accounts": ("updated", None),
    "catalogue": ("updated", None),
    "search": ("updated", None),
    "api": ("rolled-back", "CrashLoop"),
    "tracking": ("rolled-back", "ImagePullFailed"),
    "locked": ("failed", "MissingSecrets"),
}
"""How the one push to each of these groups ends, and the code of its dead letter."""
HOLD = "month's end: no change until the books are closed"


def image_of(group: str, tag: str) -> str:
    """The image of a group's one container."""
    return f"{REGISTRY if group == 'parcels' else 'acme'}/{group}:{tag}"


@dataclass
class Told:
    """The night's groups, and what people were told of them."""

    site: Site
    targets: Path
    posted: list[Any]
    ids: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Run `aci-hooks`; what it printed for people. All of it is in the test's output."""
        ended = subprocess.run(
            [sys.executable, "-m", "aci_hooks", *arguments],
            cwd=PROJECT,
            env=environment_of({**self.site.environment, "ACI_HOOKS_TARGETS": str(self.targets)}),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        print(f"$ aci-hooks {' '.join(arguments)}\n{ended.stdout}{ended.stderr}[exit {ended.returncode}]\n")
        assert ended.returncode == expect, ended.stdout + ended.stderr
        return ended.stdout

    def json_of(self, *arguments: str, expect: int = 0) -> Any:
        """What it printed for programs."""
        return json.loads(self.run(*arguments, "--json", expect=expect))

    def push(self, group: str, tag: str, *more: str, expect: int = 0) -> str:
        """Push an image of the group as a CI script does it, and wait; what was printed. Its id is remembered."""
        said = self.run("push", image_of(group, tag), "--by", "mira", "--wait", *more, expect=expect)
        self.ids[group] = said.splitlines()[0].rpartition(" ")[2]
        return said


def lay_out(site: Site) -> None:
    """Groups that run well, with what will befall them."""
    for name in GROUPS:
        site.group(name, {name: image_of(name, "v1")})
    site.arm.image(image_of("api", "v2"), "crash-loop", output=LAST_WORDS)
    site.arm.image(image_of("tracking", "v2"), "unpullable")
    why = f"An error response is received from the docker registry '{REGISTRY}'. Please retry later."
    site.arm.fault("refuse", status=409, code="RegistryErrorResponse", message=why, method="PUT", group="parcels")


def come_to_pass(told: Told) -> None:
    """Good pushes, a crash loop, a pull failure, a dead registry and a held group."""
    assert "updated: accounts runs acme/accounts:v2" in told.push("accounts", "v2")
    assert "rolled-back: api: CrashLoopBackOff" in told.push("api", "v2", expect=1)
    told.run("hold", "held", "--reason", HOLD, "--by", "mira")
    for name in ("catalogue", "search", "tracking", "parcels"):
        told.ids[name] = told.site.push(image_of(name, "v2")).id
    assert f"waits: held by hand: {HOLD}" in told.push("held", "v2", "--timeout", "3", expect=3)


def is_told(told: Told) -> None:
    """Each way to tell it tells it, at the end of the night."""
    ways = (the_status, the_history, following, the_dead_letters, the_page, the_notifications)
    with ThreadPoolExecutor(2) as pool:
        for tells in [pool.submit(way, told) for way in ways]:
            tells.result()


def the_status(told: Told) -> None:
    says_it_of_each(told.json_of("status", expect=1))
    said = " ".join(told.run("status", expect=1).split())
    for words in (
        "web/api: docker.io/acme/api:v2 rolled-back: api: CrashLoopBackOff",
        "web/tracking: docker.io/acme/tracking:v2 rolled-back: tracking: Failed to pull image",
        "web/locked: docker.io/acme/locked:v2 failed: Azure does not return these secrets",
        "web/parcels: blocked for now, and retried: arm: RegistryErrorResponse",
        "dead letters: ",
    ):
        assert words in said


def says_it_of_each(statuses: Any) -> None:
    """Do these, as `status --json` and the page give them, tell what became of each group?"""
    found = {status["target"]["container_group"]: status for status in statuses}
    assert len(found) == 12
    for name, (result, _) in ENDS.items():
        one = found[name]
        runs = image_of(name, "v2" if result == "updated" else "v1")
        assert (one["last"]["result"], one["containers"][0]["image"]) == (result, runs)
        assert (one["containers"][0]["health"], one["problem"], one["waiting"]) == ("healthy", None, [])
    assert "env/locked/PASSWORD" in found["locked"]["last"]["detail"]
    assert (found["held"]["held"], found["held"]["waiting"]) == (HOLD, ["docker.io/acme/held:v2"])
    parcels = found["parcels"]
    # Just now it may be sent to Azure once more.
    assert (parcels["waiting"] or [parcels["rollout"]["image"]]) == [image_of("parcels", "v2")]
    assert "RegistryErrorResponse" in parcels["problem"]
    assert REGISTRY in parcels["problem"]
    assert (found["invoices"]["last"], found["invoices"]["problem"]) == (None, None)


def the_history(told: Told) -> None:
    ends = told.json_of("history", expect=1)  # 1, as a record can't be read
    by_group = {end["target"]["container_group"]: end for end in ends}
    for name, (result, _) in ENDS.items():
        end = by_group[name]
        assert (end["result"], end["image"]) == (result, f"docker.io/acme/{name}:v2")
        assert (end["from"], end["containers"]) == ({name: image_of(name, "v1")}, [name])
    assert by_group["api"]["by"] == "mira"
    assert not {"held", "parcels", "invoices"} & by_group.keys()
    failed = told.json_of("history", "--failed", expect=1)
    assert [end["id"] for end in failed] == [end["id"] for end in ends if end["result"] in {"failed", "rolled-back"}]
    said = told.run("history", expect=1)
    assert f"{HOLD} (by mira)" in said
    assert "web/parcels: registry.internal.example/parcels:v2 waits" in said
    assert "blocked for now, and retried: arm: RegistryErrorResponse" in said


def following(told: Told) -> None:
    assert "updated: accounts runs acme/accounts:v2" in told.run("follow", told.ids["accounts"])
    assert "nothing is under way; the last push: docker.io/acme/search:v2 updated" in told.run("follow", "search")
    assert "rolled-back: tracking: Failed to pull image" in told.run("follow", told.ids["tracking"], expect=1)
    assert "rolled-back: api: CrashLoopBackOff" in told.run("follow", "api", expect=1)
    waits = told.run("follow", told.ids["parcels"], "--timeout", "3", expect=3)
    assert re.search("waits: blocked for now, and retried: arm: RegistryErrorResponse|is being sent to Azure", waits)


def the_dead_letters(told: Told) -> None:
    letters = told.json_of("dead-letters", "list")
    codes = {letter["target"]["container_group"]: letter["code"] for letter in letters if letter["target"]}
    assert {name: codes.get(name) for name in ENDS} == {name: code for name, (_, code) in ENDS.items()}
    shown = told.run("dead-letters", "show", told.ids["api"])
    assert "(CrashLoop)" in shown
    assert "what to do: push a good image" in shown
    log = "".join(f"  {line}\n" for line in ("starting, version 2.1.0", 'KeyError: "DB_URL"', "password=***"))
    assert f"the last lines of the crashed container's log:\n{log}" in shown


def the_page(told: Told) -> None:
    url = serve(told.site, ACI_HOOKS_TARGETS=str(told.targets))
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        wait_until(lambda: "12 groups" in client.get("/").text, PATIENCE, "the groups on the page")
        says_it_of_each(client.get("/status.json").json())
        page = html.unescape(client.get("/").text)
    for words in (*(code for _, code in ENDS.values() if code), HOLD, 'KeyError: "DB_URL"', "RegistryErrorResponse"):
        assert words in page
    assert "hunter22" not in page


def the_notifications(told: Told) -> None:
    def of(name: str) -> list[Any]:
        return [notice for notice in told.posted if notice["target"] == f"web/{name}"]

    wait_until(lambda: all(of(name) for name in ENDS), PATIENCE, "a notification of each end")
    for name, (result, code) in ENDS.items():
        (notice,) = of(name)
        assert (notice["outcome"], notice["code"], notice["image"]) == (result, code, f"docker.io/acme/{name}:v2")
        assert notice["from"][name].startswith(f"{image_of(name, 'v1')}@sha256:")
        assert bool(notice["to_do"]) == (code is not None)
        assert notice["portal"].endswith(f"/containerGroups/{name}/overview")
    assert of("api")[0]["log"].endswith('KeyError: "DB_URL"\npassword=***')
    assert of("held") == of("parcels") == of("invoices") == [], "none of them has ended"
    moved = [notice for notice in of("shop") if notice["outcome"] == "address changed"]
    assert moved
    assert all("ip from" in notice["detail"] and notice["to_do"] for notice in moved)
