"""A trained network as a folder that runs without branchsearch, and the proof that it does."""
