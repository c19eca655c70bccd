"""All samplers on all tables of trained trees: regret after each training, with intervals.

The tables: those in ``tables/``, made by ``benchmarks.trained_tables``, with the affinities beside
them; the published task groupings where ``--taskgrouping`` names their folder; and made-up spaces.
Each under several budgets. A number in bold is lowest among the samplers.

``--write`` puts the numbers and the figure into ``docs/replay.md``: that command alone remakes the
page when a table or a sampler has changed.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks import taskgrouping
from benchmarks.lines import Line, Panel, picture
from benchmarks.measure import process_mib, say
from branchsearch import catalog
from branchsearch.search.early_stopping import Rule, halving
from branchsearch.search.learning_curve import learning_curve
from branchsearch.search.replay.affinities import read_affinity
from branchsearch.search.replay.measures import mean_interval
from branchsearch.search.replay.replay import RANDOM_TREE, Replay, Replayed
from branchsearch.search.replay.stopping import replay_stopping
from branchsearch.search.replay.synthetic import plant, table_of
from branchsearch.search.replay.table import Table, read_table
from branchsearch.search.replay.tabled import problem_of

_HERE = Path(__file__).parent
PAGE = _HERE.parent / "docs" / "replay.md"
FIGURE = PAGE.with_name("replay.svg")
GROUPINGS = _HERE.parents[1] / "shared" / "data" / "taskgrouping"

#: The project's own tables.
TRAINED = ("scenes", "scenes_deep")

#: The flagship, and those that it is measured against.
FLAGSHIP, PEERS = "tree_gp", ("random", "tpe", "nsga2")
#: The flagship without the affinity, to see what that is good for.
BLIND = "tree_gp without affinity"

#: What takes one tree and searches for none.
RULES = ("share_all", "share_none", "most_cost_that_fits")

#: So many trainings into a search samplers are compared; so many begin it; so long it is at most.
AT, START, TRIALS = 12, 4, 24

COLOURS = {
    FLAGSHIP: "#d55e00",
    BLIND: "#e69f00",
    "ranked": "#009e73",
    "evolution": "#56b4e9",
    "tpe": "#0072b2",
    "nsga2": "#332288",
    "random": "#cc79a7",
    RANDOM_TREE: "#66717d",
}


@dataclass(frozen=True)
class Setting:
    """A table, or the part of it that keeps to a budget.

    Attributes:
        name: What to call it.
        table: Of the trees that may be trained.
        affinity: Shape [S, T, T], where it is known.
        cost: The cost that counts.
        unit: Of quality.
    """

    name: str
    table: Table
    affinity: np.ndarray | None
    cost: str
    unit: str


def settings(tables: Path, groupings: Path, quick: bool) -> Iterator[Setting]:
    """Every table under every budget that leaves more trees than are trained to compare."""
    for name, table, affinity, unit in _tables(tables, groupings, quick):
        cost = next(iter(table.costs))
        paid = table.costs[cost]
        for part in (1.0,) if quick else (1.0, 0.6, 0.4):
            most = paid.min() + part * (paid.max() - paid.min())
            within = table.within({cost: most})
            if len(within.trees) >= AT + 3:
                bound = "" if part == 1 else f", {cost} ≤ {_short(most)}"
                yield Setting(f"{name}{bound}", within, affinity, cost, unit)


def _tables(
    tables: Path, groupings: Path, quick: bool
) -> Iterator[tuple[str, Table, np.ndarray | None, str]]:
    for seed, (tasks, stages) in enumerate([(4, 3), (5, 2), (3, 5)][: 1 if quick else None]):
        made = plant(tasks, stages, seed=seed)
        name = f"made up, {tasks} tasks, {stages} stages"
        yield name, table_of(made, seeds=3, seed=seed), made.problem.affinity, "%"
    if quick:
        return
    for path in _trained(tables):
        table, beside = read_table(path), path.with_suffix(".npz")
        yield path.stem, table, read_affinity(beside, table) if beside.is_file() else None, "%"
    if (groupings / taskgrouping.FILE).is_file():
        with tempfile.TemporaryDirectory(prefix="branchsearch-") as folder:
            for path in taskgrouping.convert(groupings / taskgrouping.FILE, Path(folder)):
                yield f"task grouping, {path.stem}", read_table(path), None, "loss"


def _trained(tables: Path) -> list[Path]:
    """The project's own tables that are there."""
    return [path for name in TRAINED if (path := tables / f"{name}.csv").is_file()]


def run(repeats: int, asked: tuple[Setting, str]) -> Replayed:
    """Replay one sampler in one setting; what is no sampler is a rule."""
    setting, name = asked
    affinity = None if name == BLIND else setting.affinity
    replay = Replay(
        table=setting.table,
        problem=problem_of(setting.table, affinity),
        trials=min(TRIALS, len(setting.table.trees) - 1),
        start=START,
        repeats=repeats,
        cost=setting.cost,
        seed=0,
    )
    if name == RANDOM_TREE:
        return replay.of_random_tree()
    if name in (rules := replay.of_rules()):
        return rules[name]
    sampler = FLAGSHIP if name == BLIND else name
    return replay.of_sampler(catalog.find("sampler", sampler)(replay.problem))


def names_for(setting: Setting) -> list[str]:
    """The samplers that a setting is for."""
    there_are = catalog.names("sampler")
    with_affinity = (BLIND, "ranked") if setting.affinity is not None else ()
    samplers = [FLAGSHIP, *with_affinity, "evolution", *PEERS]
    known = [name for name in samplers if name in there_are or name == BLIND]
    if FLAGSHIP not in there_are:
        known = [name for name in known if name != BLIND]
    return [*known, RANDOM_TREE, *RULES]


def ratio(found: Mapping[str, Replayed]) -> tuple[float, float, float]:
    """Regret of the flagship over the least of its peers', and a 95 % interval of that.

    Every sampler has the same start in a repeat, so repeats are resampled together.
    """
    ours = found[FLAGSHIP].regret[:, AT - START]
    peers = np.stack([found[peer].regret[:, AT - START] for peer in PEERS])
    draws = np.random.default_rng(0).integers(len(ours), size=(2_000, len(ours)))
    least = peers[:, draws].mean(axis=2).min(axis=0)
    drawn = _part(ours[draws].mean(axis=1), least)
    low, high = np.percentile(drawn, [2.5, 97.5], method="nearest")
    return float(_part(ours.mean(), peers.mean(axis=1).min())), float(low), float(high)


def _part(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """One regret over another; 1 where both are 0, infinite where theirs alone is."""
    alone = np.where(ours > 0, np.inf, 1.0)
    return np.where(theirs > 0, ours / np.where(theirs > 0, theirs, 1.0), alone)


def rows(setting: Setting, found: Mapping[str, Replayed]) -> Iterator[str]:
    """The numbers of a setting, as a table in Markdown."""
    best = setting.table.quality.max()
    yield f"\n### {setting.name}\n"
    yield (
        f"{len(setting.table.trees)} trees, the best has {best:.4g} {setting.unit}; training each "
        f"of them once and taking the one seen to be best leaves a regret of "
        f"{_short(luck(setting.table))}. Regret:\n"
    )
    places = [
        n - START for n in (START, 8, AT, TRIALS) if n - START < found["random"].regret.shape[1]
    ]
    yield "| | " + " | ".join(f"after {START + p}" for p in places) + " | ranking | front | s |"
    yield "|---|" + "---|" * (len(places) + 3)
    samplers = [each for name, each in found.items() if name not in RULES]
    least = [min(each.regret[:, place].mean() for each in samplers) for place in places]
    for name, each in found.items():
        low, high = mean_interval(each.regret, seed=0)
        cells = []
        for place, lowest in zip(places, least, strict=True):
            mean = each.regret[:, place].mean()
            text = _short(mean)
            cells.append(
                f"{f'**{text}**' if mean == lowest and name not in RULES else text} "
                f"({_short(low[place])} … {_short(high[place])})"
            )
        ranked, front = (_mean(v) for v in (each.spearman, each.hypervolume))
        yield f"| {name} | {' | '.join(cells)} | {ranked} | {front} | {each.seconds.mean():.2f} |"


def luck(table: Table) -> float:
    """Mean regret of who has trained every tree once: what noise leaves to all samplers."""
    random = np.random.default_rng(0)
    regrets = []
    for _ in range(2_000):
        rows = [of_tree[random.integers(len(of_tree))] for of_tree in table.rows]
        seen = table.scores[rows].mean(axis=1)
        regrets.append(table.quality.max() - table.quality[seen.argmax()])
    return float(np.mean(regrets))


def stopping(table: Table) -> Iterator[str]:
    """What early stopping saves and costs on a table that has curves, as a table in Markdown."""
    rules: dict[str, Rule] = {
        f"halving, first {first}, factor {factor}": halving(first=first, factor=factor)
        for first, factor in ((1, 2), (1, 3), (2, 2), (2, 3))
    }
    epochs = table.curves.shape[1]
    for first in (1, 2):
        name = f"learning curve, first {first}, chance 0.05"
        rules[name] = learning_curve(first=first, chance=0.05, epochs=epochs)
    yield "| rule | trials stopped | epochs trained | winner stopped | regret |"
    yield "|---|---|---|---|---|"
    for name, rule in rules.items():
        found = replay_stopping(
            table, rule, trials=min(TRIALS, len(table.trees)), repeats=300, seed=0
        )
        yield (
            f"| {name} | {found.stopped:.0%} | {found.epochs:.0%} | {found.lost:.0%} | "
            f"{found.regret:.2f} |"
        )


def panel(setting: Setting, found: Mapping[str, Replayed]) -> Panel:
    """The regret of a setting's samplers, to draw."""
    lines = {}
    for name in COLOURS.keys() & found.keys():
        low, high = mean_interval(found[name].regret, seed=0)
        lines[name] = Line(found[name].regret.mean(axis=0), low, high)
    return Panel(setting.name, START, lines)


def write_page(text: Sequence[str], panels: Sequence[Panel]) -> None:
    """Put the numbers between the marks of the page, and the figure beside it."""
    FIGURE.write_text(picture(panels, COLOURS, across="trainings", up="regret"))
    page = PAGE.read_text()
    begin, end = "<!-- made by benchmarks.replay -->\n", "<!-- end -->"
    head, _, rest = page.partition(begin)
    PAGE.write_text(head + begin + "\n".join(text) + "\n\n" + end + rest.partition(end)[2])


def main(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="only show that it runs")] = False,
    repeats: Annotated[int, typer.Option(min=2, help="searches per sampler and table")] = 50,
    processes: Annotated[int, typer.Option(min=1)] = 2,
    tables: Annotated[Path, typer.Option(help="a folder")] = _HERE / "tables",
    groupings: Annotated[Path, typer.Option("--taskgrouping", help="a folder")] = GROUPINGS,
    write: Annotated[bool, typer.Option("--write", help="remake docs/replay.md")] = False,
) -> None:
    """Replay."""
    os.environ["OMP_NUM_THREADS"] = "1"  # before a process imports torch
    asked = [(s, name) for s in settings(tables, groupings, quick) for name in names_for(s)]
    with ProcessPoolExecutor(1 if quick else processes) as pool:
        replayed = list(pool.map(partial(run, 3 if quick else repeats), asked))
    found: dict[str, dict[str, Replayed]] = {}
    for (setting, name), each in zip(asked, replayed, strict=True):
        found.setdefault(setting.name, {})[name] = each
    by_name = {setting.name: setting for setting, _ in asked}
    text = [f"Means of {3 if quick else repeats} repeats.\n"]
    figures: dict[str, str | float | bool] = {"name": "replay"}
    ratios = {}
    if FLAGSHIP in catalog.names("sampler"):
        ratios = {name: ratio(of_setting) for name, of_setting in found.items()}
        text += ratio_rows(ratios)
        figures["ratio"] = float(np.median([middle for middle, _, _ in ratios.values()]))
        figures["reached"] = max(middle for middle, _, _ in ratios.values()) <= 1 / 3
        figures["seconds"] = seconds_a_search(found, FLAGSHIP)
    for name, of_setting in found.items():
        text += rows(by_name[name], of_setting)
    for path in [] if quick else _trained(tables):
        text += [f"\n### Early stopping on {path.stem}\n", *stopping(read_table(path))]
    if write:
        whole = [name for name in found if "≤" not in name]
        write_page(text, [panel(by_name[name], found[name]) for name in whole])
    figures |= {"reference_seconds": seconds_a_search(found, "tpe"), "peak_mib": process_mib()}
    say(text, figures)


def seconds_a_search(found: Mapping[str, Mapping[str, Replayed]], name: str) -> float:
    """How long a sampler takes for a search, the mean over all repeats and settings."""
    return float(np.mean([of_setting[name].seconds for of_setting in found.values()]))


def ratio_rows(ratios: Mapping[str, tuple[float, float, float]]) -> Iterator[str]:
    """The flagship against its peers, as a table in Markdown."""
    yield f"### {FLAGSHIP} over the best of {', '.join(PEERS)}, after {AT} trainings\n"
    yield "| | regret, as a part of theirs | 95 % interval |"
    yield "|---|---|---|"
    for name, (middle, low, high) in ratios.items():
        yield f"| {name} | {middle:.2f} | {low:.2f} … {high:.2f} |"


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.2g}"


def _mean(values: np.ndarray) -> str:
    there = values[np.isfinite(values)]
    return f"{there.mean():.2f}" if len(there) else ""


if __name__ == "__main__":
    typer.run(main)
