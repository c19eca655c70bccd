"""Search for branched multi-task networks: which tasks share which stages of a backbone."""

__version__ = "0.1.0"
