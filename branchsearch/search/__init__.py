"""Proposing trees, training them side by side, and remembering what came out."""
