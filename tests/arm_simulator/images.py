"""What the images of the simulated registries do once they are pulled."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from .messages import ArmError, Json


@dataclass(frozen=True)
class Conduct:
    """How a container of an image goes. `lives`: seconds from its start to its first exit; None: it never ends.

    `pull_error` is what a pull that fails says, and `hiccups` whether the platform goes on telling of failed pulls that
    are long over. `output` is what each start of it prints, by default some lines of our own.
    """

    pullable: bool = True
    accessible: bool = True
    startable: bool = True
    lives: float | None = None
    exit_code: int = 0
    pull_error: str = "rpc error: code = NotFound desc = failed to pull and unpack image"
    hiccups: bool = False
    output: str | None = None

    def as_init_container(self) -> "Conduct":
        """Init containers are there to end."""
        return replace(self, lives=self.lives or 0.0)


_LATE_CRASH_AFTER = 1.0
_OVER_LIMIT = "toomanyrequests: You have reached your unauthenticated pull rate limit."

BEHAVIOURS: dict[str, Callable[[float | None], Conduct]] = {
    "good": lambda after: Conduct(),
    "crash-loop": lambda after: Conduct(lives=after or 0.0, exit_code=1),
    "late-crash": lambda after: Conduct(lives=_LATE_CRASH_AFTER if after is None else after, exit_code=1),
    "exits-0": lambda after: Conduct(lives=after or 0.0, exit_code=0),
    "exits-1": lambda after: Conduct(lives=after or 0.0, exit_code=1),
    "unpullable": lambda after: Conduct(pullable=False),
    "over-limit": lambda after: Conduct(pullable=False, pull_error=_OVER_LIMIT),
    "inaccessible": lambda after: Conduct(pullable=False, accessible=False),
    "unstartable": lambda after: Conduct(startable=False),
    "hiccup": lambda after: Conduct(hiccups=True),
}


def default_digest(image: str) -> str:
    """The digest of an image that no rule gives one: made from the reference as written, so it is always the same."""
    return f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def repository(image: str) -> str:
    """The reference as written, without its tag and its digest."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def normalised(image: str) -> str:
    """`nginx` → `docker.io/library/nginx:latest`: the registry, the path, and the tag or digest all spelt out."""
    name, at, digest = image.partition("@")
    path = repository(name)
    tag = name[len(path) :] or ("" if at else ":latest")
    first, slash, rest = path.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        first, rest = "docker.io", path if slash else f"library/{path}"
    elif first == "index.docker.io":
        first = "docker.io"
    return f"{first}/{rest}{tag}{at}{digest}"


def means(glob: str, image: str) -> bool:
    """Whether a glob means this image, each as it is written or spelt out."""
    in_full = normalised(image)
    return fnmatchcase(image, glob) or fnmatchcase(in_full, glob) or fnmatchcase(in_full, normalised(glob))


@dataclass(frozen=True)
class ImageRule:
    """One instruction about the images that `pattern` means.

    `digest` is what their pulls get, the digest of the platform's manifest; None for what they got before. `known_as`
    is the digest that the registry gives for the pattern, read as a reference: that of the index for an image of
    several platforms, else the same one. A reference by either digest means the same image.
    """

    pattern: str
    conduct: Conduct
    digest: str | None
    known_as: str

    def applies_to(self, image: str) -> bool:
        return means(self.pattern, image) or self.has_digest(image)

    def has_digest(self, image: str) -> bool:
        """Whether a reference by a digest is one by this image's."""
        same_digest = image.partition("@")[2] in {self.known_as, self.digest} - {None}
        return same_digest and fnmatchcase(_repository_in_full(image), _repository_in_full(self.pattern))


def _repository_in_full(image: str) -> str:
    return repository(normalised(repository(image)))


class ImageRules:
    """The rules in the order given; a later one wins over an earlier one."""

    def __init__(self) -> None:
        self._rules: list[ImageRule] = []

    def add(self, body: Json) -> ImageRule:
        """Adds the rule that a control request describes. Raises ArmError (400) if it makes no sense."""
        pattern, digest, after = body.get("image"), body.get("digest"), body.get("after")
        index, output = body.get("index"), body.get("output")
        behaviour = body.get("behaviour") or "good"
        if not isinstance(pattern, str) or not pattern:
            raise _bad_rule("'image' has to be an image reference or a glob")
        if behaviour not in BEHAVIOURS:
            raise _bad_rule(f"unknown behaviour {behaviour!r}; the behaviours are {', '.join(BEHAVIOURS)}")
        for name, value in (("digest", digest), ("index", index)):
            if value is not None and not (isinstance(value, str) and value.startswith("sha256:")):
                raise _bad_rule(f"'{name}' has to begin with sha256:")
        if index and not digest:
            digest = default_digest(f"{index} linux/amd64")
        if after is not None and not isinstance(after, int | float):
            raise _bad_rule("'after' is a number of seconds")
        if output is not None and not isinstance(output, str):
            raise _bad_rule("'output' is a text")
        conduct = replace(BEHAVIOURS[behaviour](after), output=output)
        rule = ImageRule(pattern, conduct, digest, index or digest or self.digest(pattern))
        overruled = [o for o in self._rules if (o.pattern, o.digest, o.known_as) == (pattern, digest, rule.known_as)]
        self._rules = [old for old in self._rules if old not in overruled] + [rule]
        return rule

    def conduct(self, image: str) -> Conduct:
        """How a container of this image goes; good, unless a rule says otherwise."""
        return next((rule.conduct for rule in self._matching(image)), Conduct())

    def digest(self, image: str) -> str:
        """The digest that a pull of this reference gets now: that of the platform's manifest."""
        pinned = image.partition("@")[2]
        if pinned:
            by_index = (rule.digest for rule in reversed(self._rules) if rule.digest and rule.has_digest(image))
            return next(by_index, pinned)
        return next((rule.digest for rule in self._matching(image) if rule.digest), default_digest(image))

    def _matching(self, image: str) -> list[ImageRule]:
        return [rule for rule in reversed(self._rules) if rule.applies_to(image)]


def _bad_rule(message: str) -> ArmError:
    return ArmError(400, "InvalidImageRule", message)
