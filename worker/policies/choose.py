"""The best tag of a repository, as the sweep finds it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from worker.policies.policy import Policy, Update
from worker.policies.spelling import natural, shape


def best_tag(policy: Policy, running: str, tags: Iterable[str]) -> str | None:
    """The tag that should replace the running one; None if none should. The order of the list makes no difference.

    Tags between which only time decides, such as the builds of the running version, are left to the webhooks: a list
    of tags does not say when they were pushed.
    """
    may_stay = policy.places(running)
    admitted = {
        tag
        for tag in tags
        if tag != running
        and isinstance(policy.decide(running, tag), Update)
        and not (may_stay and policy.outranks(tag, running) is not True)
    }
    # Only a push's time would say which build of one version is the newest, and a list has none. The last one by its
    # spelling, in the running tag's form, is the likeliest; webhooks correct it.
    likeliest_first = sorted(sorted(admitted, key=natural, reverse=True), key=lambda tag: shape(tag) != shape(running))
    if not likeliest_first:
        return None
    return reduce(lambda best, tag: tag if policy.prefers(running, tag, best) else best, likeliest_first)
