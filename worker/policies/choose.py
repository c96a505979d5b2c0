"""The best tag of a repository, as the sweep finds it.

A push is compared with one running tag. A sweep has all tags at once and no times, so it needs a rule for ties as well.
"""

from __future__ import annotations

from collections.abc import Iterable

from worker.policies.policy import Policy, Update
from worker.policies.spelling import natural, shape


def best_tag(policy: Policy, running: str, tags: Iterable[str]) -> str | None:
    """The tag that should replace the running one; None if none should. The order of the list makes no difference.

    Tags between which only time decides, such as the builds of the running version, are left to the webhooks: a list
    of tags does not say when they were pushed.
    """

    def may_replace(tag: str) -> bool:
        is_admitted = isinstance(policy.decide(running, tag), Update)
        # Only a higher tag is certainly newer. With any other one, the next sweep could go back to the first, as
        # neither of two builds of one version is the higher one. The running tag is not higher than itself.
        return is_admitted and policy.outranks(tag, running) is True

    admitted = {tag for tag in tags if may_replace(tag)}
    # Only a push's time would say which build of one version is the newest, and a list has none. The last one by its
    # spelling, in the running tag's form, is the likeliest; webhooks correct it.
    last_first = sorted(admitted, key=natural, reverse=True)
    # Sorting is stable: within each of the two forms, the last one stays first.
    likeliest_first = sorted(last_first, key=lambda tag: shape(tag) != shape(running))
    best: str | None = None
    for tag in likeliest_first:
        if best is None or policy.prefers(running, tag, best):
            best = tag
    return best
