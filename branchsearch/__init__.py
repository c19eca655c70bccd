"""Search for branched multi-task networks."""
