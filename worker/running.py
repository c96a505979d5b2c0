"""What a group runs, seen through its record: which containers a push may concern, and what is good of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from shared.image import ImageReference, InvalidImage
from worker.groups.group import ContainerGroup
from worker.record import Record
from worker.record_parts import ContainerRecord, Good
from worker.targets.target import ContainerRule, Target


def matching_containers(
    images: Mapping[str, str], pushed: ImageReference, target: Target
) -> dict[str, tuple[ContainerRule, str]]:
    """The containers that follow the pushed repository: name → its rule and the image to rewrite, as written."""
    found = {}
    for name, running in images.items():
        rule = target.rule_for(name)
        if rule is None:
            continue
        if rule.image is None:
            if _repository(running) == pushed.name:
                found[name] = (rule, running)
        elif rule.image.name == pushed.name:
            found[name] = (rule, running if _repository(running) == pushed.name else pushed.name)
    return found


def acquainted(record: Record, group: ContainerGroup, target: Target) -> Record:
    """Know every container that has a rule by what it runs before any change: a change starts all of them anew."""
    for name, running in group.images.items():
        rule = target.rule_for(name)
        own = _repository(running)
        follows = rule.image.name if rule and rule.image else own
        if rule is None or follows is None:
            continue
        good = good_image(group, name)
        record = record.known(name, follows, good if own == follows else good.but(tag=None))
    return record


def good_image(group: ContainerGroup, name: str) -> Good:
    """What a container runs, as an image to go back to."""
    image = _parsed(group.images[name])
    return Good(image=group.images[name], tag=image.followed_tag if image else None, digest=running_digest(group, name))


def redeployed(record: Record, one: ContainerRecord, running: str) -> bool:
    """Has its owner brought another image here than the push that ended well, and than one that failed?"""
    wanted = one.wanted
    if wanted is None or wanted.status != "done" or record.rollout or running == wanted.image:
        return False
    image = _parsed(running)
    tried = {outcome.image for outcome in record.outcomes if outcome.result in {"superseded", "rolled-back", "failed"}}
    if image is None or str(image) in tried:
        return False
    if image.followed_tag is None:  # outcomes have no digests: any of those pushes may have been this one
        return not tried and image.digest not in {failure.digest for failure in one.failures}
    return image.followed_tag not in {failure.message.push.tag for failure in one.failures}


def running_digest(group: ContainerGroup, name: str) -> str | None:
    """The digest of the image that a container runs, if it is told."""
    image = _parsed(group.images[name])
    return (image.digest or group.running_digest(name)) if image else None


def _parsed(image: str) -> ImageReference | None:
    try:
        return ImageReference.parse(image)
    except InvalidImage:
        return None


def _repository(image: str) -> str | None:
    parsed = _parsed(image)
    return parsed.name if parsed else None
