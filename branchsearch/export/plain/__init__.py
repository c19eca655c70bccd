"""What an exported ``train.py`` is put together from: torch alone, copied there class by class.

Each does what its namesake in ``branchsearch.train`` does, for one process and whole batches; tests
hold the two to the same numbers.
"""
