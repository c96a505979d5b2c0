"""The targets file: what it says, every mistake at once with its line, and the shipped JSON Schema."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

import worker
from shared.message import Segment, TargetId
from worker.policies.parse import SameTag, SemVer
from worker.targets.file import Discover, TargetsError, TargetsFile, json_schema, parse_targets
from worker.targets.notify_model import GroupsText
from worker.targets.recipients import Recipient
from worker.targets.registries import RegistryEntry

EXAMPLE = """\
targets:
  - container_group: shop
    resource_group: web
    containers:
      web: {policy: "semver:minor"}
      worker: {policy: same-tag, image: acme/shop-worker}
    secrets:
      env/web/DB_PASSWORD: keyvault:https://v.vault.azure.net/secrets/db
      registry/index.docker.io: env:HUB_PASSWORD
      volume/data/storage-account-key: file:/run/secrets/data-key
      volume/certs/secret/tls.pem: file:/run/secrets/tls.pem
      log-analytics/workspace-key: env:LA_KEY
  - container_group: "1.10"
    resource_group: 2026-01-01
    subscription: other
    containers: {on: {policy: any}}
discover:
  resource_groups: [web, batch]
registries:
  index.docker.io: {username: env:HUB_USER, password: env:HUB_TOKEN}
notify: ["env:SLACK_URL", {url: "env:TEAMS_URL", on: [failed, rolled-back], groups: ["web/*"]}]
"""

TEN_MISTAKES = """\
targets:
  - container_group: shop
    resource_group: web
    contaners:
      web: {policy: any}
  - container_group: api
    containers:
      api: {policy: "semver:minro"}
      Web: {policy: any}
      worker: {policy: any, image: "acme/worker:v1"}
      worker: {policy: any}
    secrets:
      evn/api/PASSWORD: env:X
      env/api/TOKEN: hunter2
  - {container_group: api, resource_group: batch, containers: [api]}
notify: env:SLACK_URL
"""


def problems(text: str, default_subscription: str | None = "s") -> list[tuple[int | None, str, str | None]]:
    with pytest.raises(TargetsError) as caught:
        parse_targets(text, default_subscription)
    return [(problem.line, problem.where, problem.nearest) for problem in caught.value.problems]


def message(text: str, default_subscription: str | None = "s") -> str:
    with pytest.raises(TargetsError) as caught:
        parse_targets(text, default_subscription, "t.yaml")
    return str(caught.value)


def target(text: str) -> str:
    return f"targets:\n- container_group: shop\n  resource_group: web\n  {text}\n"


def test_what_the_example_says() -> None:
    said = parse_targets(EXAMPLE, "s")
    shop, other = said.targets
    assert shop.id == TargetId(subscription="s", resource_group="web", container_group="shop")
    assert shop.containers["web"].policy == SemVer("minor")
    assert shop.containers["worker"].policy == SameTag()
    assert shop.containers["worker"].image
    assert shop.containers["worker"].image.name == "docker.io/acme/shop-worker"
    assert shop.secrets["registry/index.docker.io"] == "env:HUB_PASSWORD"
    assert shop.rule_for("sidecar") is None
    assert said.discover == Discover(("s",), ("web", "batch"))
    assert said.registries == {"docker.io": RegistryEntry("env:HUB_USER", "env:HUB_TOKEN")}
    assert said.notify == (
        Recipient("env:SLACK_URL"),
        Recipient("env:TEAMS_URL", frozenset({"failed", "rolled-back"}), ("web/*",)),
    )
    assert other.id == TargetId(subscription="other", resource_group="2026-01-01", container_group="1.10")
    assert set(other.containers) == {"on"}, "a scalar is the text that was written"


def test_discovery_may_stand_alone() -> None:
    assert parse_targets("discover: {}", "s") == TargetsFile((), Discover(("s",), None), {}, ())
    assert parse_targets("discover: {subscriptions: [a, b]}", None).discover == Discover(("a", "b"), None)


def test_aliases_repeat_what_they_stand_for() -> None:
    said = parse_targets(target("containers: {web: &rule {policy: any}, api: *rule}"), "s")
    assert said.targets[0].containers["web"] == said.targets[0].containers["api"]


def test_ten_different_mistakes_are_told_at_once_with_line_and_what_was_meant() -> None:
    assert problems(TEN_MISTAKES) == [
        (4, "targets[0].contaners", "containers"),
        (6, "targets[1].resource_group", None),
        (8, "targets[1].containers.api.policy", "semver:minor"),
        (9, "targets[1].containers.Web", "web"),
        (10, "targets[1].containers.worker.image", "docker.io/acme/worker"),
        (11, "targets[1].containers.worker", None),
        (13, 'targets[1].secrets["evn/api/PASSWORD"]', "env/api/PASSWORD"),
        (14, 'targets[1].secrets["env/api/TOKEN"]', None),
        (15, "targets[2].containers", None),
        (16, "notify", None),
    ]


def test_a_problem_reads_as_file_line_place_and_meaning() -> None:
    first, *rest = message(TEN_MISTAKES).splitlines()
    assert first.startswith("t.yaml:4: targets[0].contaners: unknown key")
    assert first.endswith("did you mean `containers`?")
    assert len(rest) == 9


def test_what_may_be_a_secret_is_never_repeated() -> None:
    text = target("containers: {web: {policy: any}}\n  secrets: {env/web/A: hunter2, env/web/B: 'env:hunter2!'}")
    text += "registries: {docker.io: {username: hunter2, password: 'keyvault:hunter2'}}\n"
    text += "notify: ['https://x/hunter2', {url: 'slack://hunter2'}]\n"
    assert len(problems(text)) == 6
    assert "hunter2" not in message(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing to keep up to date"),
        ("# nothing\n", "nothing to keep up to date"),
        ("targets: []", "nothing to keep up to date"),
        ("registries: {}", "nothing to keep up to date"),
        ("[]", "t.yaml:1: must be a mapping"),
        ("discover:", "t.yaml:1: discover: empty: name resource_groups, or write {}"),
        ("discover: {resource_group: [web]}", "did you mean `resource_groups`?"),
        ("discover: {resource_groups: web}", "must be a list"),
        ("discover: {resource_groups: []}", "must not be empty"),
        ("targets: 3", "targets: must be a list"),
        ("targets: [x]", "targets[0]: must be a mapping"),
        ("target: []", "did you mean `targets`?"),
        ("zzz: 1", "t.yaml:1: zzz: unknown key"),
        ("a: [", "t.yaml:1: not YAML"),
        ("a: b\n c: d", "t.yaml:2: not YAML: mapping values are not allowed here"),
        ("a: *nowhere", "found undefined alias"),
        ("a: b\n---\nc: d", "found another document"),
        ("\x00", "a character that YAML does not allow"),
        ('a: "\\UFFFFFFFF"', "a character that YAML does not allow"),
        ("[" * 3000, "nested too deeply"),
        ("x" * 2_000_000, "more than 1048576 characters"),
        ("targets: &a [*a]", "nested too deeply"),
        ("? [a]\n: b", "t.yaml:1: a key must be a string"),
        ("targets: !!python/object/apply:os.system [x]", "are not supported"),
        (target("containers: {}"), "containers: must not be empty"),
        (target("containers: {web: }"), "t.yaml:4: targets[0].containers.web: must be a mapping"),
        (target("containers: {web: any}"), "must be a mapping, as in {policy: any}"),
        (
            "targets:\n\t- x",
            "t.yaml:2: not YAML: while scanning for the next token found character '\\t' that cannot start any "
            "token; indent with spaces",
        ),
        (target("containers: {web: {policy: }}"), "policy: must be a string"),
        (target("containers: {web: {polcy: any}}"), "polcy: unknown key; known here are policy, image"),
        (target("containers: {web: {policy: any, image: Acme/Shop}}"), "did you mean `acme/shop`?"),
        (target("containers: {web: {policy: any, image: 'a b'}}"), "is not a repository"),
        (target('subscription: "\\ud800"'), "must be a string of valid characters"),
        (target('containers: {web: {policy: "\\ud800"}}'), "'\\ud800' is not a policy"),
        (target("containers: {w_b: {policy: any}}"), "did you mean `w-b`?"),
        (target("containers: {'ü': {policy: any}}"), "can't be a container"),
        (target("subscription: a/b"), "1 to 128 characters without slashes"),
        ("registries: {'https://ghcr.io/v2': {}}\ndiscover: {}", "did you mean `ghcr.io`?"),
        ("registries: {'a b': {}}\ndiscover: {}", "is not a registry host"),
        (
            "registries: {ghcr.io: {user: env:A}}\ndiscover: {}",
            "user: unknown key; known here are username, password, identity, believe, scheme, realms",
        ),
        ("registries: {'acme/shop': {}}\ndiscover: {}", "did you mean `docker.io/acme/shop`?"),
        ("registries: {'ghcr.io/Acme/*': {}}\ndiscover: {}", "did you mean `ghcr.io/acme`?"),
        ("registries: {ghcr.io: {username: env:A}}\ndiscover: {}", "username and password must be given together"),
        (
            "registries: {acme.azurecr.io: {username: env:A, password: env:B, identity: true}}\ndiscover: {}",
            "identity replaces username and password",
        ),
        ("registries: {acme.azurecr.io: {identity: maybe}}\ndiscover: {}", "identity: must be true or false"),
        ("registries: {acme.azurecr.io: {identity: true, scheme: http}}\ndiscover: {}", "identity needs https"),
        ("registries: {ghcr.io/acme: {scheme: http}}\ndiscover: {}", "write it under ghcr.io"),
        ("registries: {ghcr.io: {believe: sometimes}}\ndiscover: {}", "believe: "),
        (
            "registries: {ghcr.io: {realms: ['https://auth.acme.com/token']}}\ndiscover: {}",
            "did you mean `auth.acme.com`?",
        ),
        ("notify: ['evn:SLACK']\ndiscover: {}", "did you mean `env:`?"),
        ("notify: ['env:']\ndiscover: {}", "write it as env:NAME"),
        ("notify: ['file:']\ndiscover: {}", "write it as file:/path/to/it"),
        ("notify: ['keyvault:http://v/secrets/x']\ndiscover: {}", "write it as keyvault:https://"),
        ("notify: [[env:A]]\ndiscover: {}", "notify[0]: must be a string"),
        ("notify: [{on: [failed]}]\ndiscover: {}", "notify[0].url: missing"),
        (
            "notify: [{url: 'env:A', group: [a/b]}]\ndiscover: {}",
            "url, on, groups; did you mean `groups`",
        ),
        ("notify: [{url: 'env:A', on: [fail]}]\ndiscover: {}", "'fail' is not an outcome: updated, rolled-back, "),
        ("notify: [{url: 'env:A', on: [rolled_back]}]\ndiscover: {}", "did you mean `rolled-back`?"),
        ("notify: [{url: 'env:A', on: [address-changed]}]\ndiscover: {}", "did you mean `address changed`?"),
        ("notify: [{url: 'env:A', on: [xyz]}]\ndiscover: {}", "superseded, ignored"),
        ("notify: [{url: 'env:A', on: []}]\ndiscover: {}", "notify[0].on: must not be empty"),
        ("notify: [{url: 'env:A', on: failed}]\ndiscover: {}", "notify[0].on: must be a list"),
        ("notify: [{url: 'env:A', groups: [web]}]\ndiscover: {}", "did you mean `web/*`?"),
        ("notify: [{url: 'env:A', groups: ['*']}]\ndiscover: {}", "did you mean `*/*`?"),
        ("notify: [{url: 'env:A', groups: [sub/web/shop]}]\ndiscover: {}", "write resource group/container group"),
    ],
)
def test_each_mistake_is_explained(text: str, said: str) -> None:
    assert said in message(text)


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("env/web", None),
        ("evn/web/A", "env/web/A"),
        ("secret", None),
        ("registries/ghcr.io", "registry/ghcr.io"),
        ("vault/x", None),
        ("volume/data/storage-key", "volume/data/storage-account-key"),
        ("volumes/data/storage-account-key", "volume/data/storage-account-key"),
        ("volume/certs/secrets/tls.pem", "volume/certs/secret/tls.pem"),
        ("log-analytics/key", "log-analytics/workspace-key"),
    ],
)
def test_the_nearest_path_of_a_secret(path: str, nearest: str | None) -> None:
    text = target(f"containers: {{web: {{policy: any}}}}\n  secrets: {{{path}: env:A}}")
    assert problems(text) == [
        (5, f'targets[0].secrets["{path}"]' if "/" in path else f"targets[0].secrets.{path}", nearest)
    ]


def test_a_subscription_is_needed_somewhere() -> None:
    text = target("containers: {web: {policy: any}}") + "discover: {}\n"
    assert problems(text, None) == [(2, "targets[0].subscription", None), (5, "discover.subscriptions", None)]
    assert "set it here or in AZURE_SUBSCRIPTION_ID" in message(text, None)
    assert parse_targets(target("subscription: s\n  containers: {web: {policy: any}}"), None)


def test_a_group_is_named_once_in_whatever_spelling() -> None:
    one = "- {container_group: shop, resource_group: web, containers: {web: {policy: any}}}\n"
    other = "- {container_group: SHOP, resource_group: Web, subscription: S, containers: {web: {policy: any}}}\n"
    assert problems(f"targets:\n{one}{other}") == [(3, "targets[1]", None)]
    assert "the same group as targets[0], line 2" in message(f"targets:\n{one}{other}")
    assert len(parse_targets(f"targets:\n{one}{other}", "t").targets) == 2


def test_aliases_that_multiply_are_stopped() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    assert "too many values" in message(bomb)


@given(st.one_of(st.text(), st.text(alphabet="targe:s -{}[]&*!|>'\"\n\\Ux0")))
def test_any_text_is_a_targets_file_or_a_targets_error(text: str) -> None:
    try:
        parse_targets(text, "s")
    except TargetsError as error:
        found = error.problems
    else:
        return
    assert found
    assert all(item.what for item in found)


@pytest.mark.parametrize("name", ["web", "Ströme_(prod).eu-1", "हिन्दी", "表ポあA中"])
def test_every_resource_group_that_azure_allows_may_be_named_also_in_an_editor(name: str) -> None:
    # Regression: to a JSON Schema \w is ASCII, so editors marked other letters.
    target = f"{{resource_group: {name}, container_group: shop, containers: {{web: {{policy: any}}}}}}"
    notify = f"notify: [{{url: 'env:URL', groups: ['{name}/*']}}]"
    parse_targets(f"targets: [{target}]\ndiscover: {{resource_groups: [{name}]}}\n{notify}\n", "s")
    for kind, text in ((Segment, name), (GroupsText, f"{name}/*")):
        assert re.search(TypeAdapter(kind).json_schema()["pattern"], text, re.ASCII)


def test_the_shipped_schema_is_that_of_the_model() -> None:
    shipped = json.loads(Path(worker.__path__[0], "targets.schema.json").read_text())
    assert shipped == json_schema(), "run: python -m worker.targets.file > worker/targets.schema.json"


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (EXAMPLE, True),
        ("discover: {}", True),
        ("targets: []\ndiscover: {resource_groups: [web]}", True),
        ("discover: {}\nregistries: {acme.azurecr.io: {identity: true, believe: never}}", True),
        ("discover: {}\nregistries: {localhost: {identity: yes}}", False),
        ("discover: {}\nregistries: {'10.0.0.4:5000': {scheme: http}, ghcr.io/acme: {realms: [auth.acme.com]}}", True),
        ("{}", False),
        ("discover:", False),
        ("targets: [{container_group: a, resource_group: b, containers: {web: {policy: semver:minro}}}]", False),
        ("targets: [{container_group: a, resource_group: b, containers: {web: {policy: 'semver:>=1 <2+pre'}}}]", True),
        ("targets: [{container_group: a, resource_group: b, containers: {web: {polcy: any}}}]", False),
    ],
)
def test_the_schema_says_what_the_program_says(text: str, *, valid: bool) -> None:
    validator = jsonschema_rs.Draft202012Validator(json_schema())
    assert validator.is_valid(yaml.load(text, Loader=yaml.BaseLoader)) == valid
    try:
        parse_targets(text, "sub")
    except TargetsError:
        assert not valid
    else:
        assert valid


def test_a_registry_is_named_once() -> None:
    # Regression: of two spellings of one registry the last one counted, without a word.
    login = "{username: env:U, password: env:P}"
    text = f"discover: {{}}\nregistries:\n  docker.io: {login}\n  index.docker.io: {login}\n"
    with pytest.raises(TargetsError, match=r"the same registry as docker\.io"):
        parse_targets(text, "sub")


def test_the_schema_describes_every_key() -> None:
    schema = json_schema()
    models = [schema, *schema["$defs"].values()]
    assert all(model["additionalProperties"] is False for model in models)
    assert all("description" in key for model in models for key in model["properties"].values())
