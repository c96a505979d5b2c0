"""Fuzz: real deliveries and messages, mutated at random, against a real ingress and a real worker.

    python -m tests.fuzz --requests 20000 --messages 2000 --seed 7

`mutation` changes JSON and bytes, `deliveries` makes requests of the corpus, and `letters` messages of the queue; all
three are drawn from a seed. `clients` send the requests and `answers` judges what comes back; `onslaught` and `backlog`
run the processes, and `handling` the handler in memory. docs/chaos.md says what must hold.
"""
