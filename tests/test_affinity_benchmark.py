import json
import subprocess
import sys
from pathlib import Path


def test_the_benchmark_ends_with_its_figures():
    command = [sys.executable, "-m", "benchmarks.affinity", "--quick"]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["name"] == "affinity"
    numbers = ["ratio", "seconds", "reference_seconds", "products_seconds", "peak_mib", "floor"]
    assert all(figures[number] > 0 for number in numbers)
