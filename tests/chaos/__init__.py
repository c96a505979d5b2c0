"""Chaos: real processes on loopback, killed, stopped and lied to at random, and the promises checked afterwards.

    python -m tests.chaos --pushes 2000 --seconds 300 --seed 7
    python -m tests.chaos bursts

`plan` draws everything from the seed, `stage` holds the processes, `senders` and `mischief` carry the plan out,
`evidence` gathers what is left behind, `laws` judges it and `report` prints it. docs/chaos.md explains the laws.
"""
