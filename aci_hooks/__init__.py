"""aci-hooks, the operator's one command."""
