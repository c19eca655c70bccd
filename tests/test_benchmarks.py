import json
import subprocess
import sys
from pathlib import Path

import pytest

#: What each gives beside name, ratio, seconds, reference_seconds and peak_mib; ``replay`` and
#: ``loading`` have tests of their own.
FIGURES = {
    "affinity": ["products_seconds", "floor"],
    "network": ["memory_ratio", "floor"],
    "export": ["promised", "by_hand_ratio", "floor"],
    "training": ["bfloat16_ratio", "grouped_ratio", "batched_ratio"],
    "samplers": ["seconds_many"],
    "solver": ["seconds_5x5", "criterion_seconds_5x5"],
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_benchmark_ends_with_its_figures(name: str):
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick"]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["name"] == name
    numbers = ["ratio", "seconds", "reference_seconds", "peak_mib", *FIGURES[name]]
    assert all(figures[number] > 0 for number in numbers)
