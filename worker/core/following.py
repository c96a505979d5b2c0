"""Which repository each container of a group follows, and what it runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.image import ImageReference, InvalidImage
from worker.groups.group import ContainerGroup
from worker.policies.policy import Policy
from worker.record.record import Record
from worker.record.values import Good
from worker.targets.target import Target


@dataclass(frozen=True, slots=True)
class Following:
    """A container follows the repository `name` by `policy`; `written` is the image to rewrite, spelt as it stands."""

    name: str
    policy: Policy
    written: str


def followings(images: Mapping[str, str], target: Target) -> dict[str, Following]:
    """The containers (container → image, as written) that have a rule, each with what it follows."""
    found = {}
    for name, running in images.items():
        rule, own = target.rule_for(name), repository_of(running)
        if rule is None:
            continue
        if rule.image is None:
            if own:
                found[name] = Following(own, rule.policy, running)
        else:
            found[name] = Following(
                rule.image.name, rule.policy, running if own == rule.image.name else rule.image.name
            )
    return found


def unknown_here(record: Record, group: ContainerGroup, target: Target) -> list[str]:
    """The containers that something is under way for, and that this target does not follow, or follows elsewhere.

    The rule may have been taken away, or this worker's targets file may be older than the one of whoever began it.
    """
    followed = followings(group.images, target)
    return [
        name
        for name, container in record.containers.items()
        if name in group.images
        and (container.candidates or container.pin)
        and (name not in followed or followed[name].name != container.repository)
    ]


def foreign_images(images: Mapping[str, str], group: ContainerGroup, target: Target, record: Record) -> list[str]:
    """What is to be put (container → image) that is neither of the repository that the container follows nor its own.

    A record is outside, too: whatever it holds, no push may bring another repository in. But where a rule names another
    repository than the container ran, what it ran must come back if the first push of that one fails.
    """
    followed, running = followings(group.images, target), group.images
    found = []
    for name, image in sorted(images.items()):
        own = {repository_of(running[name])} | ({followed[name].name} if name in followed else set())
        rule, container = target.rule_for(name), record.containers.get(name)
        if rule and rule.image and container and image == container.good.restored:
            own.add(repository_of(image))
        if image != running[name] and repository_of(image) not in own - {None}:
            found.append(f"{name}: {image}")
    return found


def good_image(group: ContainerGroup, name: str) -> Good:
    """What a container runs, as an image to go back to."""
    image = parsed(group.images[name])
    tag = image.followed_tag if image else None
    return Good(image=group.images[name], tag=tag, digest=running_digest(group, name))


def running_digest(group: ContainerGroup, name: str) -> str | None:
    """The digest of the image that a container runs, if it is told."""
    image = parsed(group.images[name])
    return (image.digest or group.running_digest(name)) if image else None


def repository_of(image: str) -> str | None:
    """The repository's normalised name, None of what is no image reference."""
    reference = parsed(image)
    return reference.name if reference else None


def parsed(image: str) -> ImageReference | None:
    """The reference, None of what is none."""
    try:
        return ImageReference.parse(image)
    except InvalidImage:
        return None
