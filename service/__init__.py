"""The only place that wires things, reads settings, opens ClickHouse or speaks HTTP."""

import os

# Why here: a matrix library counts its threads once, when numpy is first imported, and every entry
# point imports this package before. Lookalikes would otherwise take all cores beside the tag for
# products that one core does in milliseconds; threads that wait for each other take longer still.
for _threads in ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(_threads, "1")
