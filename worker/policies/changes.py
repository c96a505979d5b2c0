"""How one version relates to another, in words for people: the reasons that `semver` gives for what it decides."""

from __future__ import annotations

from worker.policies.versions import Version


def why_not_of_line(new: Version, old: Version, policy: str) -> str | None:
    """Why `new` and `old` can't be compared, whichever is higher; None if both belong to one line."""
    if new.variant != old.variant:
        return f"{new} is {spell_variant(new)}, and {old} is {spell_variant(old)}: {policy} keeps the variant"
    has_as_many = len(new.numbers) == len(old.numbers)
    if not has_as_many or bool(new.build) != bool(old.build):
        # The tag 8 stands for the newest 8.x.y, whichever that is. Moving from it to 8.1.27 could be a downgrade.
        return f"{new} has {_count(new)}, and {old} has {_count(old)}: {policy} keeps the count"
    if new.line != old.line:
        return f"{new} is spelt differently from {old}: {policy} keeps the spelling"
    return None


def why_not_higher(new: Version, old: Version, policy: str) -> str | None:
    """Why a policy that never goes down refuses `new` after `old`, both of one line; None if it allows it."""
    if new.precedence < old.precedence:
        return f"{new} is lower than {old}, and {policy} never goes down"
    return None


def describe_change(new: Version, old: Version) -> str:
    """How `new` relates to the lower `old`, for example "a minor update of"."""
    for parts, name in enumerate(("major", "minor", "patch"), 1):
        if not new.shares(parts, old):
            return f"a {name} update of"
    if new.numbers != old.numbers:
        return "higher than"
    if new.build != old.build:
        return "a later build than"
    if new.pre_release != old.pre_release:
        return "a later pre-release than" if new.pre_release else "the release of"
    return "a later revision than"


def spell_variant(version: Version) -> str:
    """What kind of image it is, for people."""
    return f"the variant {version.variant}" if version.variant else "the plain image"


def _count(version: Version) -> str:
    count = (
        "1 number" if len(version.numbers) == 1 else f"{len(version.numbers)} numbers"
    )
    return f"{count} and a build" if version.build else count
