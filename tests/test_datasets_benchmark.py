import json
import subprocess
import sys
from pathlib import Path


def test_the_benchmark_ends_with_its_figures():
    command = [sys.executable, "-m", "benchmarks.loading", "--quick"]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["name"] == "loading"
    numbers = ["ratio", "seconds", "reference_seconds", "peak_mib"]
    numbers += ["ratio_files", "step_images_per_second", "slowed", "floor"]
    assert all(figures[number] > 0 for number in numbers)
