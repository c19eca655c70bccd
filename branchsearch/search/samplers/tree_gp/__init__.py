"""The flagship: Gaussian processes over trees, one per task."""
