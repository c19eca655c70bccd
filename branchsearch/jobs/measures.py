"""The catalog's measures of affinity."""

from collections.abc import Sequence

from branchsearch import catalog
from branchsearch.affinity.measure import Measure


def find_measures(measures: Sequence[str]) -> dict[str, Measure]:
    """The catalog's measures by name.

    Raises:
        UnknownName: With the names there are.
    """
    found: dict[str, Measure] = {}
    for name in measures:
        value: object = catalog.find("affinity", name)
        assert isinstance(value, Measure), name  # the catalog's contract test says so
        found[name] = value
    return found
