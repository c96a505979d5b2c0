"""What a run says at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.chaos.hostile import ATTACKS
from tests.chaos.laws import letters_a_bad_push, usual_looks
from tests.chaos.run import Run

_LOST = ("LOST", "NO LETTER")
_OLDER = ("OLDER OVER NEWER", "NOT NEWEST")
_BROKEN = ("BROKEN GROUP", "HOSTILE", "ADDRESS CHANGED", "UNREADABLE RECORD", "EXIT CODE")


def show(run: Run, console: Console) -> None:
    """Print the figures, how the pushes ended, and every breach of a law."""
    console.print(_figures(run))
    console.print(_counts("how the deliveries ended, for each of their targets", run.verdict.outcomes))
    if notes := Counter({what: count for what, count in run.verdict.notes.items() if count}):
        console.print(_counts("beside that", notes))
    console.print(_counts("what the workers complained of", run.evidence.log_problems, most=12))
    _show_violations(run, console)


def _figures(run: Run) -> Table:
    evidence, plan, done = run.evidence, run.plan, run.mischief
    deliveries = len(evidence.accepted)
    puts, restarts = evidence.stats["effective_puts"], evidence.stats["restarts"]
    letters, failed = letters_a_bad_push(evidence)
    table = Table(title=f"chaos, seed {plan.seed}", show_header=False)
    rows: dict[str, object] = {
        "pushes": f"{len({item.push.number for item in evidence.accepted})} of {len(plan.pushes)}",
        "deliveries answered 202": deliveries,
        "what the senders were told": _in_a_row(run.answers),
        "groups, containers": f"{len(plan.groups)}, {sum(map(len, plan.groups.values()))}",
        "kills (worker, ingress)": f"{done['kill worker']}, {done['kill ingress']}",
        "freezes (worker, ingress)": f"{done['freeze worker']}, {done['freeze ingress']}",
        "all workers away": done["workers away"],
        "Azurite restarts": done["restart azurite"],
        "outages of ARM (all requests, reads, long)": f"{done['ARM outage']}, {done['ARM read outage']}, "
        f"{done['long outage']}",
        "hostile webhooks": _in_a_row({kind: done[kind] for kind in ATTACKS}),
        "forged messages; records tampered with, forged": f"{len(evidence.forged)}; {done['tamper with record']}, "
        f"{done['forge record']}",
        "owners' stops, tags": f"{done['stop group']}, {done['tag group']}"
        + "".join(f"; {count} {what}" for what, count in sorted(done.items()) if what.startswith("no longer")),
        "faults of ARM": f"{sum(evidence.faults.values())} ({_in_a_row(evidence.faults)})",
        "ARM requests (reads, lists, writes)": f"{evidence.stats['reads']}, {evidence.stats['lists']}, "
        f"{evidence.stats['writes']}",
        "PUTs that took effect, restarts": f"{puts}, {restarts}",
        "PUTs per push": f"{puts / max(1, len(plan.pushes)):.2f}",
        "dead letters": f"{letters} of {failed} pushes and groups: {letters / max(1, failed):.2f} each",
        "messages on the queue": _messages(run),
        "seconds (active, until quiet)": f"{plan.seconds:.0f}, {run.quiet:.1f}",
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def _messages(run: Run) -> str:
    samples = run.evidence.samples
    if not samples:
        return "not looked at"
    live = max((count for sample in samples for count in sample.live.values()), default=0)
    looks, pushes = usual_looks(run.plan, run.evidence), [sample.pushes for sample in samples]
    usual = "never calm enough to tell" if looks is None else f"median {looks:g} where few pushes were under way"
    void = max(sample.void for sample in samples)
    return (
        f"looks: {usual}, of one group that count at most {live}, peeked void ones {void}; "
        f"pushes under way: median {median(pushes):g}, at most {max(pushes)}"
    )


def _counts(title: str, counts: Mapping[str, int], most: int | None = None) -> Table:
    table = Table(title=title, show_header=False)
    for name, count in Counter(counts).most_common(most):
        table.add_row(name, str(count))
    return table


def _in_a_row(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _show_violations(run: Run, console: Console) -> None:
    found = run.verdict.violations
    lost, older, broken = (sum(item.startswith(kinds) for item in found) for kinds in (_LOST, _OLDER, _BROKEN))
    console.print(
        f"violations: {len(found)} ({lost} lost, {older} older over newer, {broken} broken)",
        style="bold red" if found else "bold green",
    )
    for item in found[:40]:
        console.print(f"  {item}", markup=False, highlight=False)
    if not found:
        return
    plan = run.plan
    console.print(
        f"\nThe same again: python -m tests.chaos --pushes {len(plan.pushes)} --seconds {plan.seconds:g} "
        f"--seed {plan.seed}\nLogs of every process: {run.folder}\n"
        f"One group's way: python -m tests.chaos.story {run.folder} chaos/g01\n"
        f"One push's way:  python -m tests.chaos.story {run.folder} <the id of its message>",
        markup=False,
        highlight=False,
    )
