from pathlib import Path

import pytest
from torch import nn

from branchsearch.export.speed import latencies, peak_mib
from branchsearch.report.comparison import comparison_figure, write_comparison
from branchsearch.tree import Tree
from tests.test_export_source import network_of

SIZE = (16, 16)


def test_a_network_that_does_more_takes_longer():
    small, large = network_of(Tree.parse("a")), network_of(Tree.share_none("abcdef", stages=3))
    fast, slow = latencies([small, large], [SIZE, SIZE], batch=4)
    assert 0 < fast < slow


def test_memory_is_that_of_images_weights_and_what_is_kept_at_once():
    network = nn.Sequential(nn.Conv2d(3, 64, 1, bias=False), nn.ReLU())
    mib = 2**20
    images, weights, features = (4 * count / mib for count in (8 * 3 * 256, 192, 8 * 64 * 256))
    assert peak_mib(network, SIZE, batch=8) == images + weights + 2 * features


def test_memory_grows_with_the_batch_and_nothing_is_said_about_it(
    capfd: pytest.CaptureFixture[str],
):
    network = network_of(Tree.parse("a+b > a,b"))
    assert 0 < peak_mib(network, SIZE, batch=1) < peak_mib(network, SIZE, batch=8)
    assert capfd.readouterr().err == ""


def test_a_figure_has_a_panel_per_metric_and_cost_and_a_bar_per_network(tmp_path: Path):
    def compared(name: str, delta: dict[str, float | None] | None) -> dict[str, object]:
        return {
            "name": name,
            "metrics": {"seg": {"mean": 0.5, "spread": 0.1}},
            "delta": delta,
            "parameters": 7,
            "multiply_adds": 9,
            "seconds": {"1": 0.1, "32": 0.2},
            "mib": {"1": 1.0, "32": 2.0},
        }

    both = [compared("net", None), compared("last", {"mean": 1.5, "spread": None})]
    figure = comparison_figure(both)
    assert [list(bar.y) for bar in figure.data[:3]] == [[0.5, 0.5], [None, 1.5], [7, 7]]
    assert len(figure.data) == 7
    assert "1: net   2: last" in figure.layout.title.text
    write_comparison(both, tmp_path / "figure.html")
    assert "https://cdn" not in (tmp_path / "figure.html").read_text()[:10_000]
