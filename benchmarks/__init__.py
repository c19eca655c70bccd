"""Programs that measure what the design promises, each against a reference in the same run.

Run one with ``python -m benchmarks.network``. The last line that it prints is a JSON object.
"""
