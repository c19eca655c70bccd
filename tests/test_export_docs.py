import json
import re
from pathlib import Path

from branchsearch.export.description import SCHEMA_VERSION, describe
from branchsearch.export.folder import FILES
from branchsearch.export.formats import GRAPHS, TOLERANCES
from branchsearch.export.learning import UNKNOWN
from tests.test_export_source import FOUR_TASKS, network_of, promise_of

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "export.md").read_text()


def test_every_key_of_the_description_is_on_the_page():
    promise = promise_of(network_of(FOUR_TASKS))
    described = describe(promise, facts={}, learning=UNKNOWN, graphs=[], others=[])
    table = PAGE.partition("## model.json")[2]
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == list(described)
    for inner in ("tasks", "input", "cost"):
        first = described[inner][0] if inner == "tasks" else described[inner]
        assert all(f"`{key}`" in table for key in first), inner
    assert f"| `schema_version` | {SCHEMA_VERSION};" in table
    assert json.loads(json.dumps(described)) == described


def test_every_file_and_format_is_on_the_page():
    for name in (*FILES, *GRAPHS.values()):
        assert f"`{name}`" in PAGE
    for name, file in GRAPHS.items():
        assert re.search(rf"^\| `{name}` \| `{file}`", PAGE, re.M)
    for tolerance in TOLERANCES.values():
        assert f"| {tolerance:g} |".replace("1e-05", "1e-5") in PAGE
