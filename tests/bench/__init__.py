"""Measurements: what the ingress and the workers do in a second, and what a push costs. Nothing is asserted.

python -m tests.bench                          # all parts, within about six minutes
python -m tests.bench --only costs --only latency
python -m tests.bench --against ../old         # the same with the workers and ingresses of another checkout, beside it
"""
