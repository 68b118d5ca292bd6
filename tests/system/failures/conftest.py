"""Clusters need brokers and relays that run alone."""

import os

collect_ignore = (
    []
    if os.environ.get("FAILURES")
    else ["test_brokers.py", "test_relays.py", "test_nodes.py", "test_redis_outages.py", "test_random_faults.py"]
)
