"""Getting acquainted with a group: which containers it has, and what its owner has deployed without us. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from worker.core.following import Following, followings, good_image, repository_of
from worker.core.leaving import drop_everything, leave
from worker.groups.group import ContainerGroup
from worker.policies.policy import Skip
from worker.record.container import ContainerRecord, Good
from worker.record.record import GOODS_KEPT, Record, remembered
from worker.targets.target import Target


def acquaint(
    record: Record,
    group: ContainerGroup,
    target: Target,
    now: datetime,
) -> Record:
    """Add the group's new containers to the record, remove those that are gone, and adopt what the owner deployed."""
    before = record
    followed = followings(group.images, target)
    record = _forget_missing(record, group, now)
    for name in group.images:
        follows = followed.get(name)
        record = _meet(record, group, name, follows, now)
        if is_redeployed(record, group, name):
            record = _adopt(record, group, name, follows, now)
    if before.containers and not is_acquainted(before, group.images, target):
        # Until the list of groups and the targets file showed what is followed now, its pushes passed this group by.
        # The patrol has it swept once more.
        record = record.but(swept=False)
    return record


def is_acquainted(record: Record, images: Mapping[str, str], target: Target) -> bool:
    """Whether the record knows each container that the target follows as a follower of that repository."""
    return all(
        name in record.containers
        and record.containers[name].followed
        and record.containers[name].repository == follows.name
        for name, follows in followings(images, target).items()
    )


def _forget_missing(record: Record, group: ContainerGroup, now: datetime) -> Record:
    # A renamed container counts as one that is gone and another that is new: nothing in ARM's answer ties the two.
    missing = [name for name in record.containers if name not in group.images]
    for name in missing:
        record = drop_everything(
            record, name, f"the group no longer has a container {name}", now
        )
        remaining = {
            other: container
            for other, container in record.containers.items()
            if other != name
        }
        record = record.but(containers=remaining)
    return record


def _meet(
    record: Record,
    group: ContainerGroup,
    name: str,
    follows: Following | None,
    now: datetime,
) -> Record:
    """Make sure that the record knows a container by the repository that it follows, or else runs."""
    running = group.images[name]
    # A text that is no image reference stands for itself, so that a change of it is noticed all the same.
    repository = follows.name if follows else (repository_of(running) or running)
    is_followed = follows is not None
    container = record.containers.get(name)
    if container is None or container.repository != repository:
        record = drop_everything(
            record, name, "the container follows another repository now", now
        )
        running_now = _as_good(group, name, repository)
        container = ContainerRecord(
            repository=repository, followed=is_followed, goods=(running_now,)
        )
    elif container.followed != is_followed:
        record = drop_everything(
            record, name, "the container is no longer kept up to date", now
        )
        # The container is read again, because dropping what waited has changed it.
        container = record.containers[name].but(followed=is_followed)
    return record.but(containers={**record.containers, name: container})


def _as_good(group: ContainerGroup, name: str, repository: str) -> Good:
    """What a container runs, as its last good image."""
    # The tag of another repository says nothing about the tags that are to follow.
    good = good_image(group, name)
    return (
        good if repository_of(group.images[name]) == repository else good.but(tag=None)
    )


def is_redeployed(record: Record, group: ContainerGroup, name: str) -> bool:
    """Whether the container runs an image that the group's owner deployed, without us."""
    container = record.containers[name]
    running, change = group.images[name], record.change
    # In transition a group shows images that it may not keep; a pinned container has its own way to go.
    if group.in_transition or container.pin:
        return False
    if container.followed:
        # Taking every unexpected image for the owner's is tempting, but one that the record knows may as well be a late
        # update of ours. Nothing tells the two apart. An owner who wants an earlier image uses a rollback or a hold.
        sent = change.images.get(name) if change else None
        return running != sent and running not in container.images
    # A container without a rule is the owner's, so that any image is the owner's choice, except one that a push
    # brought while there was a rule, and one that a change of ours may still be about to overwrite.
    if change or record.flights:
        return False
    return running not in container.good.spellings | container.brought


def _adopt(
    record: Record,
    group: ContainerGroup,
    name: str,
    follows: Following | None,
    now: datetime,
) -> Record:
    """The owner's image becomes the last good one, and candidates that may not follow it end."""
    container = record.containers[name]
    deployed = _as_good(group, name, container.repository)
    earlier = [good for good in container.goods if good.image != deployed.image]
    goods = (deployed, *earlier)
    past = remembered(container, [good.image for good in goods[GOODS_KEPT:]])
    record = record.with_container(name, goods=goods[:GOODS_KEPT], past=past)
    return _continue_from(record, name, follows, now) if follows else record


def _continue_from(
    record: Record,
    name: str,
    follows: Following,
    now: datetime,
) -> Record:
    """End the candidates that the policy does not admit after the owner's image. The others go on waiting."""
    owners = record.containers[name].good
    for candidate in record.containers[name].candidates:
        decision = follows.policy.decide(owners.tag, candidate.tag)
        if isinstance(decision, Skip):
            # Sooner or later the candidate would have its turn, and undo what the owner has just deployed.
            record = leave(
                record,
                name,
                candidate,
                "superseded",
                f"{owners.image} was deployed by hand",
                now,
            )
    return record
