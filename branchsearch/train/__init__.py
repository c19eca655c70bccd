"""Training one branched network in a plain Python process."""
