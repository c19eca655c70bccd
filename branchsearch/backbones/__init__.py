"""Feature extractors cut into stages."""
