"""Searches over trees that were trained before: how samplers are judged."""
