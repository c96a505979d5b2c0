"""The catalogue: which targets there are by a list that may be old, incomplete, or not to be had."""

from __future__ import annotations

import threading

import pytest
from structlog.testing import capture_logs

from shared.errors import RemoteError
from shared.image import ImageReference
from shared.message import TargetId
from worker.discovery.catalogue import REFRESH, REFRESH_ON_MISS, RENEW, Catalogue
from worker.discovery.listing import KEPT
from worker.discovery.scopes import Scope
from worker.groups.group import ContainerGroup
from worker.policies.parse import AnyTag
from worker.ports import Listed
from worker.targets.tags import BadTags
from worker.targets.target import ContainerRule, Target

SHOP = ImageReference.parse("acme/shop:2")
GONE = RemoteError("arm", 404, "ResourceGroupNotFound", "no such group")
FORBIDDEN = RemoteError("arm", 403, "AuthorizationFailed", "no")
DOWN = RemoteError("arm", 503, "ServiceUnavailable", "later")
LISTED = Target(
    TargetId(subscription="sub", resource_group="files", container_group="listed"), {"web": ContainerRule(AnyTag())}
)


class Azure:
    """What lists groups: by resource group, their names, or the error that the list call meets."""

    def __init__(self, **places: list[str] | RemoteError) -> None:
        self.places = places
        self.calls = 0

    def get(self, target: TargetId) -> ContainerGroup:
        (group,) = self.list(target.subscription, target.resource_group)
        assert group.id == target
        return group

    def list(self, subscription: str, resource_group: str | None = None) -> list[ContainerGroup]:
        self.calls += 1
        place = self.places[resource_group or "all"]
        if isinstance(place, RemoteError):
            raise place
        return [_group(subscription, resource_group or "all", name) for name in place]


class Seconds:
    """A clock."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def _group(subscription: str, resource_group: str, name: str) -> ContainerGroup:
    tags = {"aci-hooks.policy": "no policy" if name.startswith("bad") else "any"}
    tags = {} if name.startswith("plain") else tags
    tags |= {"aci-hooks.hold": "audit"} if name.startswith("held") else {}
    path = f"/subscriptions/{subscription}/resourceGroups/{resource_group}/providers/x/containerGroups/{name}"
    containers = [{"name": "web", "properties": {"image": "acme/shop:1"}}]
    return ContainerGroup({"id": path, "tags": tags, "properties": {"containers": containers}})


def made(azure: Azure, clock: Seconds, *discovered: str, files: bool = False) -> Catalogue:
    scopes = [Scope("sub", place, discover=True) for place in discovered]
    if files:
        scopes.append(Scope("sub", "files"))
    return Catalogue(lambda: (LISTED,) if files else (), lambda: tuple(scopes), azure, monotonic=clock)


def names(targets: tuple[Target, ...]) -> list[str]:
    return [target.id.container_group for target in targets]


def id_of(name: str, place: str = "web") -> TargetId:
    return TargetId(subscription="sub", resource_group=place, container_group=name)


def test_a_list_is_good_for_many_pushes_but_not_for_ever() -> None:
    azure, clock = Azure(web=["shop"]), Seconds()
    catalogue = made(azure, clock, "web")
    for _ in range(10):
        assert names(catalogue.concerned(SHOP)) == ["shop"]
    assert azure.calls == 1
    azure.places["web"] = ["shop", "new"]
    clock.now += REFRESH
    # Regression: after a quiet time a push was matched with a list of any age, and groups made since missed it.
    assert names(catalogue.concerned(SHOP)) == ["shop", "new"]


class TestSingle:
    """A deployment of one group reads that group now and then, and matches pushes with what it runs."""

    def made(self, azure: Azure, clock: Seconds) -> Catalogue:
        scope = Scope("sub", "web", container_group="shop")
        single = Target(id_of("shop"), everything=AnyTag(), source="environment")
        return Catalogue(lambda: (single,), lambda: (scope,), azure, monotonic=clock)

    def test_pushes_of_other_repositories_cost_nothing(self) -> None:
        # Regression: each of 200 pushes that nobody runs was received, looked at and read the group.
        azure, clock = Azure(web=["shop"]), Seconds()
        catalogue = self.made(azure, clock)
        other = ImageReference.parse("127.0.0.1:5000/acme/shop:1")
        for _ in range(200):
            assert catalogue.concerned(other) == ()
        assert names(catalogue.concerned(SHOP)) == ["shop"]
        assert azure.calls == 1
        clock.now += REFRESH_ON_MISS
        assert catalogue.concerned(other) == ()
        assert azure.calls == 2

    @pytest.mark.parametrize("trouble", [DOWN, FORBIDDEN])
    def test_while_it_can_not_be_read_its_pushes_are_received_all_the_same(self, trouble: RemoteError) -> None:
        catalogue = self.made(Azure(web=trouble), Seconds())
        assert names(catalogue.concerned(SHOP)) == ["shop"]
        assert (catalogue.problems(), catalogue.is_gone(id_of("shop"))) == ((), False)

    def test_one_that_is_gone_is_told_by_its_record(self) -> None:
        catalogue = self.made(Azure(web=GONE), Seconds())
        assert names(catalogue.concerned(SHOP)) == ["shop"]
        assert catalogue.is_gone(id_of("shop"))


def test_where_nothing_is_found_the_list_is_renewed_sooner() -> None:
    azure, clock = Azure(web=[]), Seconds()
    catalogue = made(azure, clock, "web")
    assert names(catalogue.concerned(SHOP)) == []
    azure.places["web"] = ["new"]
    assert names(catalogue.concerned(SHOP)) == []
    clock.now += REFRESH_ON_MISS
    assert names(catalogue.concerned(SHOP)) == ["new"]


def test_a_group_is_a_target_by_the_tags_that_it_has_now_whatever_the_list_knows() -> None:
    # Regression: a worker whose list was older completed the message as "no target any more", and the push was lost.
    azure, clock = Azure(web=["shop"]), Seconds()
    catalogue = made(azure, clock, "web")
    catalogue.concerned(SHOP)
    azure.places["web"] = ["shop", "new"]
    assert catalogue.target_of(_group("sub", "web", "new")) is not None
    assert catalogue.target_of(_group("sub", "elsewhere", "new")) is None


def test_a_running_worker_renews_the_list_before_a_push_has_to() -> None:
    azure, clock = Azure(web=["shop"]), Seconds()
    catalogue = made(azure, clock, "web")
    for _ in range(10):
        catalogue.renew()
        catalogue.concerned(SHOP)
        clock.now += RENEW
    assert azure.calls == 10


def test_whether_a_group_is_a_target_is_not_told_by_an_old_list() -> None:
    # Regression: a worker that had handled no push for hours rolled out by a policy that had been taken away.
    catalogue = made(Azure(web=["shop"]), Seconds(), "web")
    catalogue.concerned(SHOP)
    untagged = ContainerGroup({**_group("sub", "web", "shop").raw, "tags": {}})
    assert catalogue.target_of(untagged) is None


def test_tags_that_are_no_policy_say_so() -> None:
    catalogue = made(Azure(web=["bad"]), Seconds(), "web")
    assert isinstance(catalogue.target_of(_group("sub", "web", "bad")), BadTags)


def test_a_group_is_gone_only_if_every_list_that_would_show_it_does_not() -> None:
    catalogue = made(Azure(web=["shop"], batch=FORBIDDEN), Seconds(), "web", "batch")
    assert not catalogue.is_gone(id_of("shop")), "nothing is listed yet"
    catalogue.known()
    other = TargetId(subscription="sub", resource_group="batch", container_group="job")
    elsewhere = TargetId(subscription="other", resource_group="web", container_group="shop")
    assert [catalogue.is_gone(item) for item in (id_of("shop"), id_of("none"), other, elsewhere)] == [
        False,
        True,
        False,
        False,
    ]


def test_where_to_discover_may_change() -> None:
    # Regression: what a newer targets file added was not listed for a minute, what it took away stayed for ever.
    azure, clock = Azure(web=["shop"], batch=["job"]), Seconds()
    scopes = [Scope("sub", "web", discover=True)]
    catalogue = Catalogue(lambda: (), lambda: tuple(scopes), azure, monotonic=clock)
    assert names(catalogue.concerned(SHOP)) == ["shop"]
    scopes[:] = [Scope("sub", "batch", discover=True)]
    assert names(catalogue.concerned(SHOP)) == ["job"]
    scopes.clear()
    assert names(catalogue.concerned(SHOP)) == []
    assert (catalogue.target_of(_group("sub", "web", "shop")), catalogue.problems()) == (None, ())


def test_a_target_of_the_file_needs_no_list() -> None:
    azure = Azure(files=DOWN)
    assert made(azure, Seconds(), files=True).target_of(_group("sub", "files", "listed")) == LISTED
    assert azure.calls == 0


@pytest.mark.parametrize("error", [GONE, FORBIDDEN])
def test_a_place_that_is_gone_or_forbidden_holds_up_no_other(error: RemoteError) -> None:
    # Regression: one deleted resource group made a dead letter of every push.
    catalogue = made(Azure(web=["shop"], gone=error, files=error), Seconds(), "gone", "web", files=True)
    assert names(catalogue.concerned(SHOP)) == ["shop", "listed"]
    assert names(catalogue.known()) == ["shop", "listed"]
    assert [problem.partition(" can't")[0] for problem in catalogue.problems()] == [
        "resource group gone",
        "resource group files",
    ]


def test_where_a_role_is_missing_nobody_says_that_there_is_nothing() -> None:
    # Regression: while a fresh role was not in force yet, pushes were ignored, and a rollout under way was given up.
    azure, clock = Azure(web=FORBIDDEN, batch=["job"]), Seconds()
    alone, both = made(azure, clock, "web"), made(azure, clock, "web", "batch")
    with pytest.raises(RemoteError, match="AuthorizationFailed"):
        alone.concerned(SHOP)
    assert names(both.concerned(SHOP)) == ["job"]
    azure.places["web"] = ["shop"]
    clock.now += REFRESH
    assert names(both.concerned(SHOP)) == ["shop", "job"]


def test_what_was_discovered_before_stays_known_when_a_place_is_forbidden_later() -> None:
    azure, clock = Azure(web=["shop"]), Seconds()
    catalogue = made(azure, clock, "web")
    catalogue.concerned(SHOP)
    azure.places["web"] = FORBIDDEN
    clock.now += REFRESH
    assert names(catalogue.concerned(SHOP)) == ["shop"]


def test_a_place_that_stays_forbidden_loses_its_targets_in_the_end_and_says_so() -> None:
    # Regression: they stayed targets until the worker was started again, with the tags that they once had.
    azure, clock = Azure(web=["shop"], batch=["job"]), Seconds()
    catalogue = made(azure, clock, "web", "batch")
    catalogue.concerned(SHOP)
    azure.places["web"] = FORBIDDEN
    clock.now += REFRESH
    catalogue.concerned(SHOP)
    clock.now += KEPT - REFRESH
    assert names(catalogue.concerned(SHOP)) == ["shop", "job"]
    (problem,) = catalogue.problems()
    assert "AuthorizationFailed" in problem
    assert problem.endswith("; what was found there before is kept up to date for 6 h")
    told = []
    for _ in range(3):
        clock.now += REFRESH
        with capture_logs() as lines:
            assert names(catalogue.concerned(SHOP)) == ["job"]
        told += [line["targets"] for line in lines if line["log_level"] == "error"]
    assert told == [["web/shop"]], "once"
    (problem,) = catalogue.problems()
    assert problem.startswith("resource group web has not been listed for 6 h, so its groups are not kept up to date: ")
    shop = TargetId(subscription="sub", resource_group="web", container_group="shop")
    assert not catalogue.is_gone(shop), "what can't be listed may be there"
    azure.places["web"] = ["shop"]
    clock.now += REFRESH
    assert names(catalogue.concerned(SHOP)) == ["shop", "job"]
    assert catalogue.problems() == ()


def test_a_place_that_is_forbidden_now_and_then_loses_nothing() -> None:
    azure, clock = Azure(web=["shop"]), Seconds()
    catalogue = made(azure, clock, "web")
    for place in (["shop"], FORBIDDEN) * 3:
        azure.places["web"] = place
        clock.now += KEPT * 2 / 3
        assert names(catalogue.concerned(SHOP)) == ["shop"]


def test_pushes_of_a_place_that_was_dropped_are_not_ignored() -> None:
    azure, clock = Azure(web=["shop"]), Seconds()
    catalogue = made(azure, clock, "web")
    catalogue.concerned(SHOP)
    azure.places["web"] = FORBIDDEN
    clock.now += REFRESH
    catalogue.concerned(SHOP)
    clock.now += KEPT
    with pytest.raises(RemoteError, match="AuthorizationFailed"):
        catalogue.concerned(SHOP)


def test_what_was_discovered_in_a_place_that_is_gone_is_gone() -> None:
    # Regression: its targets lived on until the worker was started again.
    azure, clock = Azure(web=["shop"]), Seconds()
    catalogue = made(azure, clock, "web")
    catalogue.concerned(SHOP)
    azure.places["web"] = GONE
    clock.now += REFRESH
    assert catalogue.concerned(SHOP) == ()


def test_while_a_list_fails_for_a_time_nobody_says_that_there_is_nothing() -> None:
    catalogue = made(Azure(web=DOWN), Seconds(), "web")
    with pytest.raises(RemoteError):
        catalogue.concerned(SHOP)
    with pytest.raises(RemoteError):
        catalogue.known()


def test_of_a_place_of_the_file_that_nobody_may_list_every_target_may_be_concerned() -> None:
    other = ImageReference.parse("acme/other:2")
    assert names(made(Azure(files=FORBIDDEN), Seconds(), files=True).concerned(other)) == ["listed"]
    with pytest.raises(RemoteError):
        made(Azure(files=DOWN), Seconds(), files=True).concerned(other)


def test_a_group_whose_tags_are_no_policy_is_no_target_and_a_problem() -> None:
    catalogue = made(Azure(web=["bad", "shop"]), Seconds(), "web")
    assert set(names(catalogue.concerned(SHOP))) == {"shop", "bad"}, "its pushes wait until the tags are corrected"
    assert names(catalogue.all()) == ["shop"]
    (problem,) = catalogue.problems()
    assert problem.startswith("web/bad: the tag aci-hooks.policy: ")


def test_nothing_is_listed_where_the_file_says_everything() -> None:
    azure = Azure()
    catalogue = Catalogue(lambda: (LISTED,), lambda: (), azure)
    assert names(catalogue.concerned(SHOP)) == ["listed"]
    assert (catalogue.target_of(_group("sub", "web", "none")), azure.calls) == (None, 0)


def test_where_tags_are_not_looked_for_a_tagged_group_is_no_target() -> None:
    # A list of the file's own resource group shows other groups, too; their tags are no invitation without `discover`.
    azure = Azure(files=["tagged"])
    catalogue = made(azure, Seconds(), files=True)
    assert names(catalogue.known()) == ["listed"]
    assert names(catalogue.concerned(SHOP)) == ["listed"]
    assert catalogue.target_of(_group("sub", "files", "tagged")) is None
    assert catalogue.problems() == ()


@pytest.mark.parametrize(("error", "gone"), [(FORBIDDEN, False), (GONE, True)])
def test_a_place_that_can_not_be_listed_hides_the_groups_of_the_file(error: RemoteError, *, gone: bool) -> None:
    # Regression: with a role that may read groups and not list them, every group of the file was taken for gone, and
    # each patrol read them all one by one.
    catalogue = made(Azure(files=error), Seconds(), files=True)
    catalogue.renew()
    assert catalogue.is_gone(LISTED.id) is gone


def test_a_thread_that_waited_for_another_ones_list_takes_that_one() -> None:
    azure, clock = Azure(web=["shop"]), Seconds()
    catalogue = made(azure, clock, "web")

    class Meanwhile:
        """Another thread lists the groups while this one waits for the lock."""

        def __enter__(self) -> None:
            catalogue._refreshing = threading.Lock()
            catalogue.renew()

        def __exit__(self, *_: object) -> None:
            """The lock is given back."""

    catalogue._refreshing = Meanwhile()  # type: ignore[assignment]
    assert names(catalogue.concerned(SHOP)) == ["shop"]
    assert azure.calls == 1


def test_a_group_without_tags_is_listed_and_no_target() -> None:
    catalogue = made(Azure(web=["plain", "shop"]), Seconds(), "web")
    assert names(catalogue.known()) == ["shop"]
    assert set(catalogue.listed()) == {id_of("plain"), id_of("shop")}
    assert catalogue.problems() == ()


def test_the_list_shows_what_a_group_runs_and_whether_a_tag_holds_it() -> None:
    catalogue = made(Azure(web=["held", "shop"]), Seconds(), "web")
    catalogue.renew()
    listed = catalogue.listed()
    assert listed[id_of("shop")] == Listed({"web": "acme/shop:1"})
    assert listed[id_of("held")] == Listed({"web": "acme/shop:1"}, held=True)


def test_a_push_that_concerns_no_target_of_the_file_waits_for_no_role() -> None:
    # The targets of a file are known without a list: only where tags are looked for may there be one that nobody sees.
    # An error would keep the push on the queue for hours, instead of ending it as ignored.
    named = Target(LISTED.id, {"web": ContainerRule(AnyTag(), ImageReference.parse("acme/other"))})
    catalogue = Catalogue(lambda: (named,), lambda: (Scope("sub", "files"),), Azure(files=FORBIDDEN))
    assert catalogue.concerned(SHOP) == ()


def test_a_list_is_as_old_as_the_question_that_it_answers() -> None:
    # What was created while a slow list was on its way is not in it.
    clock = Seconds()

    class Slow(Azure):
        def list(self, subscription: str, resource_group: str | None = None) -> list[ContainerGroup]:
            clock.now += 10
            return super().list(subscription, resource_group)

    azure = Slow(web=["shop"])
    catalogue = made(azure, clock, "web")
    catalogue.concerned(SHOP)
    clock.now += REFRESH - 5
    catalogue.concerned(SHOP)
    assert azure.calls == 2
