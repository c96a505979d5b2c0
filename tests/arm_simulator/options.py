"""The simulator's switches."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from fnmatch import fnmatchcase

from .messages import ArmError, GroupKey, Json


@dataclass(frozen=True)
class Options:
    """Every switch with its default. Times are in seconds; globs are those of fnmatch, an empty one matches nothing."""

    transition_seconds: float = 0.3
    """How long a PUT, a start, and the second part of a restart take."""
    pull_seconds: float = 0.1
    """The part of the transition that goes into pulling the images."""
    back_off_seconds: float = 0.5
    """The rhythm in which a crashed container is started, or a failed pull tried, again."""
    restart_lag_seconds: float = 0.2
    """How long after a restart was accepted the old containers are still shown as running."""
    keep_ip: bool = True
    """Whether a PUT of a running group keeps its public IP."""
    restart_pulls: bool = True
    """Whether a restart looks for a moved tag, or starts the image that it already has."""
    put_changes_tags: bool = True
    """Whether a PUT of an existing group replaces its tags, or leaves them to PATCH."""
    put_status: int = 201
    """The status of the answer to the PUT of an existing group: 200 or 201."""
    address_in_transition: str = ""
    """What a group in transition shows as its IP: nothing (`missing`), `0.0.0.0`, or, if empty, the one it has."""
    digests_in_failures: bool = True
    """Whether a failed pull names the digest of the platform's manifest, or the image as the group has it."""
    timestamp_digits: int = 3
    """How many digits (0 to 6) of a second the timestamps of instance views have; the rest is cut off."""
    enforce_rate_limits: bool = False
    """Whether the quotas are only reported, or also enforced."""
    page_size: int = 100
    """How many groups one page of a list holds."""
    next_link: str = ""
    """Where every page of a list says that it goes on; `{base}` is the simulator's address. Empty: where it does."""
    may_read_logs: bool = True
    """Whether the role of whoever asks has the action that container logs need, which not every role has."""
    seed: int = 0
    """Seeds the dice of faults that have a rate."""
    fail_operation: str = ""
    """A glob of images: the operation of a group that holds one ends as Failed."""
    stuck: str = ""
    """A glob of groups: a transition that begins while it matches doesn't end before it ceases to match."""

    def changed(self, values: Mapping[str, object]) -> "Options":
        """These options with some replaced. Raises ArmError (400) for an unknown name or a value that doesn't fit."""
        known = {field.name: type(field.default) for field in fields(self)}
        checked: Json = {}
        for name, value in values.items():
            if name not in known:
                raise _bad_option(f"unknown option {name!r}; the options are {', '.join(sorted(known))}")
            checked[name] = _checked(name, known[name], value)
        return replace(self, **checked)

    def as_json(self) -> Json:
        return asdict(self)


_CHOICES = {"address_in_transition": ("", "missing", "0.0.0.0")}
_RANGES = {"timestamp_digits": range(7), "put_status": range(200, 202), "page_size": range(1, 1_000_000)}


def _checked(name: str, kind: type, value: object) -> object:
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise _bad_option(f"option {name} takes a {kind.__name__}, not {value!r}")
    if isinstance(value, int | float) and name != "seed" and value < 0:
        raise _bad_option(f"option {name} can't be negative")
    if name in _CHOICES and value not in _CHOICES[name]:
        raise _bad_option(f"option {name} is {value!r}, none of {', '.join(map(repr, _CHOICES[name]))}")
    if name in _RANGES and value not in _RANGES[name]:
        raise _bad_option(f"option {name} is {value!r}, outside {_RANGES[name].start} to {_RANGES[name].stop - 1}")
    return value


def _bad_option(message: str) -> ArmError:
    return ArmError(400, "InvalidOption", message)


def group_matches(key: GroupKey, glob: str) -> bool:
    """Whether a glob means this group: as `name`, `resource group/name` or `subscription/resource group/name`."""
    parts = key.folded[-1 - glob.count("/") :]
    return fnmatchcase("/".join(parts), glob.lower())
