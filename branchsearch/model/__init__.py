"""Branched networks, their heads and what they cost."""
