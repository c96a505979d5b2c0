"""`make demo`: a push's whole way, with real processes and the ARM simulator in Azure's place.

`deliveries` makes what a registry would send, `stage` runs the processes, `story` shows what they do, and `__main__`
tells it and judges the end.
"""
