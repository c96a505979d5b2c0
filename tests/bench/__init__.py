"""Measurements: what the ingress and the workers do in a second, and what a rollout costs. Nothing is asserted.

python -m tests.bench                 # all parts, within about four minutes
python -m tests.bench --only ingress
"""
