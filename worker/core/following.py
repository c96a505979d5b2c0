"""Which repository each container of a group follows, and what it runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.image import ImageReference, InvalidImage
from worker.groups.group import ContainerGroup
from worker.policies.policy import Policy
from worker.record.container import Good
from worker.record.record import Record
from worker.targets.target import ContainerRule, Target


@dataclass(frozen=True, slots=True)
class Following:
    """A container follows the repository `name` by `policy`. `written` is the image whose spelling an update keeps."""

    name: str
    policy: Policy
    written: str


def followings(images: Mapping[str, str], target: Target) -> dict[str, Following]:
    """What each container with a rule follows. `images` is what runs, as written (container → image)."""
    found = {}
    for name, running in images.items():
        rule = target.rule_for(name)
        follows = _following(rule, running) if rule else None
        if follows:
            found[name] = follows
    return found


def _following(rule: ContainerRule, running: str) -> Following | None:
    """What a container follows by its rule; None if neither the rule nor the running image names a repository."""
    own = repository_of(running)
    if rule.image and rule.image.name != own:
        # The running image is of another repository, so its spelling can't be kept, and the normalised name is used.
        return Following(rule.image.name, rule.policy, rule.image.name)
    return Following(own, rule.policy, running) if own else None


def unknown_here(record: Record, group: ContainerGroup, target: Target) -> list[str]:
    """The containers with an update under way that this target does not follow, or follows to another repository."""
    # Their rule may have been removed. But another worker may also have begun the update by a newer targets file than
    # this worker has, so a caller must not drop the update at once.
    followed = followings(group.images, target)
    found = []
    for name, container in record.containers.items():
        is_under_way = bool(container.candidates) or container.pin is not None
        is_known = name in followed and followed[name].name == container.repository
        if name in group.images and is_under_way and not is_known:
            found.append(name)
    return found


def foreign_images(
    images: Mapping[str, str],
    group: ContainerGroup,
    target: Target,
    record: Record,
) -> list[str]:
    """The images about to be put (container → image) that belong to a repository the container may not run."""
    # Others may be able to write to the storage account of the records. Whatever a record says, an update never brings
    # in another repository than the one that the container follows or runs.
    found = []
    for name, image in sorted(images.items()):
        is_changed = image != group.images[name]
        if is_changed and repository_of(image) not in _allowed_repositories(
            name, image, group, target, record
        ):
            found.append(f"{name}: {image}")
    return found


def _allowed_repositories(
    name: str,
    image: str,
    group: ContainerGroup,
    target: Target,
    record: Record,
) -> frozenset[str]:
    followed = followings(group.images, target)
    allowed = {repository_of(group.images[name])}
    if name in followed:
        allowed.add(followed[name].name)
    # Where a rule names another repository than the container ran, the good image is of neither: not of the one that
    # runs by now, nor of the one that the rule names. If the first push fails, it must still come back.
    rule, container = target.rule_for(name), record.containers.get(name)
    if rule and rule.image and container and image == container.good.restored:
        allowed.add(repository_of(image))
    return frozenset(repository for repository in allowed if repository)


def good_image(group: ContainerGroup, name: str) -> Good:
    """What a container runs, as an image to go back to."""
    image = parsed(group.images[name])
    tag = image.followed_tag if image else None
    return Good(image=group.images[name], tag=tag, digest=running_digest(group, name))


def running_digest(group: ContainerGroup, name: str) -> str | None:
    """The digest of the image that a container runs, if its reference or Azure's events tell."""
    image = parsed(group.images[name])
    return (image.digest or group.running_digest(name)) if image else None


def repository_of(image: str) -> str | None:
    """The repository's normalised name; None for a text that is not an image reference."""
    reference = parsed(image)
    return reference.name if reference else None


def repositories_of(images: Mapping[str, str]) -> tuple[str, ...]:
    """The normalised names of the repositories of a group's images (container → image), sorted."""
    return tuple(
        sorted({name for image in images.values() if (name := repository_of(image))})
    )


def parsed(image: str) -> ImageReference | None:
    """The image reference; None for a text that is not one."""
    try:
        return ImageReference.parse(image)
    except InvalidImage:
        return None
