import io
import json
import random
from pathlib import Path

import optuna
import optuna_dashboard
import pytest

from branchsearch.report.dashboard import note, publish
from branchsearch.report.findings import Findings
from branchsearch.space.encoding import decode
from branchsearch.tree import Tree
from tests.report_findings import a_job, random_affinity, task, trial, without


@pytest.fixture
def study(tmp_path: Path):
    return optuna.create_study(
        storage=f"sqlite:///{tmp_path}/study.db", directions=["maximize", "minimize"]
    )


def seen(study: optuna.Study) -> dict[str, object]:
    """The study as the dashboard's own pages are given it."""
    app = optuna_dashboard.wsgi(study._storage)
    answer: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": f"/api/studies/{study._study_id}",
        "QUERY_STRING": "",
        "SERVER_NAME": "test",
        "SERVER_PORT": "80",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.url_scheme": "http",
    }
    body = b"".join(app(environ, lambda status, _, __=None: answer.append(status)))
    assert answer == ["200 OK"]
    return json.loads(body)


def figures(study: optuna.Study) -> dict[str, dict]:
    return {
        kept["id"]: json.loads(kept["graph_object"]) for kept in seen(study)["plotly_graph_objects"]
    }


def test_the_dashboard_shows_note_and_figures(study: optuna.Study):
    publish(study, a_job())
    assert seen(study)["note"]["body"] == note(a_job())
    assert figures(study).keys() == {"affinity", "pareto", "tree"}


def test_a_repeat_replaces(study: optuna.Study):
    publish(study, forty_tasks(50))
    publish(study, a_job())
    assert figures(study).keys() == {"affinity", "pareto", "tree"}
    assert len(figures(study)["affinity"]["data"]) == 3
    assert "scenes" in seen(study)["note"]["body"]


def test_nothing_found_yet_is_a_note_alone(study: optuna.Study):
    publish(study, without(a_job(), trials=[], confirmed=[], affinities=[]))
    assert "No network has been chosen yet" in seen(study)["note"]["body"]
    assert figures(study) == {}


def test_forty_tasks_and_a_thousand_trials_stay_small(study: optuna.Study):
    publish(study, forty_tasks(1000))
    for figure in seen(study)["plotly_graph_objects"]:
        assert len(figure["graph_object"]) < 200_000


def test_the_note_draws_the_tree_and_escapes_names():
    found = a_job()
    found = without(found, title="a|b *c* <img>")
    written = note(found)
    assert "├─┬─┤ 1 ├─── edges" in written
    assert r"a\|b \*c\* \<img\>" in written
    table = [line for line in written.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(found.confirmed)
    assert len({line.replace(r"\|", "").count("|") for line in table}) == 1


def forty_tasks(trials: int) -> Findings:
    draw = random.Random(0)
    names = [f"attribute_{n:02}" for n in range(40)]

    def tree() -> Tree:
        mates = [draw.randrange(t) for t in range(1, 40)]
        return decode(names, 5, mates, [draw.randint(0, 5) for _ in mates])

    return without(
        a_job(),
        tasks=tuple(task(name, "edges") for name in names),
        affinities=[random_affinity(names, 5, 0, "rsa")],
        trials=[trial(n, tree(), "complete", draw.gauss(0, 2)) for n in range(trials)],
        confirmed=[],
        budget={},
    )
