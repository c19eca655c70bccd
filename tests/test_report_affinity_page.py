import csv
import io
from itertools import combinations, permutations
from unittest.mock import patch

import numpy as np
import pytest

from branchsearch.report.affinity_page import page, table
from branchsearch.report.affinity_table import entries, stages
from tests.report_findings import affinity, random_affinity
from tests.test_report_html import Reader

RSA = random_affinity("abc", 2, 0, "rsa")
TAG = random_affinity("abc", 2, 0, "tag")


def test_every_pair_is_one_entry_and_both_ways_where_a_measure_has_directions():
    rows = list(entries([RSA, TAG]))
    for found, pairs in ((RSA, combinations("abc", 2)), (TAG, permutations("abc", 2))):
        ours = [row for row in rows if row["measure"] == found.measure]
        expected = [(stage, *pair) for pair in pairs for stage in range(2)]
        assert sorted((r["stage"], r["task"], r["with"]) for r in ours) == sorted(expected)
        for row in ours:
            at = row["stage"], "abc".index(row["task"]), "abc".index(row["with"])
            assert row["affinity"] == found.estimate.values[at]
            assert row["chance"] == (None if found is TAG else found.estimate.chance[at])


def test_a_stage_in_short():
    values = np.array([[[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]]])
    (row,) = stages([affinity("abc", values, chance=0.3)])
    assert (row["mean"], row["may_be_chance"]) == (pytest.approx(0.4), "3 of 3")
    assert (row["most_alike"], row["least_alike"]) == ("a, b: 0.9", "a, c: 0.1")
    assert next(stages([TAG]))["may_be_chance"] is None
    (alone,) = stages([affinity("a", np.ones((1, 1, 1)))])
    assert alone["mean"] is alone["most_alike"] is None


def test_the_table_holds_every_entry():
    rows = list(csv.DictReader(io.StringIO(table([RSA, TAG]))))
    assert len(rows) == len(list(entries([RSA, TAG])))
    assert float(rows[0]["affinity"]) == RSA.estimate.values[0, 0, 1]
    assert rows[-1]["low"] == ""


def test_the_page_shows_each_measure_loads_nothing_and_takes_any_name():
    evil = "</script><script>alert(1)"
    found = [RSA, affinity([evil, "b"], np.ones((1, 2, 2)), measure=evil)]
    with patch("branchsearch.report.affinity_page.get_plotlyjs", return_value="/* plotly */"):
        text = page(found, evil)
    assert "<script>alert" not in text
    reader = Reader(text)
    assert not any({"src", "href"} & attributes.keys() for _, attributes in reader.elements)
    ids = {attributes.get("id") for _, attributes in reader.elements}
    assert {"affinity-0", "affinity-1", "dendrogram-0", "dendrogram-1"} <= ids
