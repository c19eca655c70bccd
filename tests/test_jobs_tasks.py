from pathlib import Path
from typing import Any

import pytest

from branchsearch.datasets.dataset import PARTS
from branchsearch.jobs.check import check_job
from branchsearch.jobs.reading import InvalidSpec
from branchsearch.jobs.spec import TaskSpec
from branchsearch.space.cost import Cost
from branchsearch.task import Head
from tests.image_files import picture, save, write_csv
from tests.specs import tiny

DEPTH = {"name": "depth", "kind": "depth", "metric": "rmse", "direction": "minimize"}


def job(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  # any part of a task
    """The tiny job with its second task, depth, changed."""
    spec = tiny()
    spec["space"]["tasks"][1].update(changes)
    return spec


def test_a_head_is_named_alone_or_with_arguments():
    assert TaskSpec(**DEPTH).task().head is None
    assert TaskSpec(**DEPTH, head="fpn").task().head == Head("fpn")
    aspp = {"name": "aspp", "args": {"width": 8}}
    assert TaskSpec(**DEPTH, head=aspp).task().head == Head("aspp", {"width": 8})


@pytest.mark.parametrize(
    ("head", "where", "what"),
    [
        ("apps", "space.tasks.1.head", "no head 'apps'; .*did you mean 'aspp'"),
        ("linear", "space.tasks.1", "'linear' does not predict depth; these do: aspp, dense, fpn"),
        ({"name": "fpn", "args": {"depth": 2}}, "tasks.1.head", "takes no 'depth'; it takes width"),
        ({"name": "fpn", "args": {"width": 0}}, "space.tasks.1.head", "at least 1, got 0"),
    ],
)
def test_a_head_that_does_not_fit_is_refused_with_its_place(head: object, where: str, what: str):
    with pytest.raises(InvalidSpec, match=f"{where}.*{what}"):
        check_job(job(head=head))


def test_the_logarithm_of_a_logarithm_is_refused():
    with pytest.raises(InvalidSpec, match=r"tasks.1.metric: label 'depth' is a logarithm already"):
        check_job(job(metric="log_rmse"))


def test_a_label_of_another_number_is_named_with_its_own():
    spec = tiny()
    spec["space"]["tasks"][0]["classes"] = 5
    with pytest.raises(InvalidSpec, match="label 'seg' is segmentation of 4 classes"):
        check_job(spec)


def test_a_task_without_labels_to_judge_it_by_is_refused(tmp_path: Path):
    rows = []
    for number, part in enumerate([*PARTS * 4]):
        save(tmp_path / f"{number}.png", picture(number))
        age = number if part == "train" else None
        rows.append({"image": f"{number}.png", "part": part, "age": age, "height": number})
    arguments = {
        "path": str(write_csv(tmp_path / "few.csv", rows)),
        "size": 16,
        "tasks": {name: {"kind": "regression"} for name in ("age", "height")},
        "part": "part",
    }
    names = ("height", "age")
    tasks = [{**DEPTH, "name": name, "kind": "regression", "count": 1} for name in names]
    spec = tiny()
    spec["space"].update(dataset={"name": "manifest", "args": arguments}, tasks=tasks)
    says = r"space\.tasks\.1\.name: no image of validation or test has the label 'age'"
    with pytest.raises(InvalidSpec, match=says):
        check_job(spec)
    tasks.pop()
    with pytest.raises(InvalidSpec, match="it needs two tasks"):  # the column itself does no harm
        check_job(spec)


def test_heads_of_a_spec_are_what_is_built_and_counted():
    plain, named = check_job(job()), check_job(job(head={"name": "fpn", "args": {"width": 3}}))
    costs = {job_.space.costs.heads["depth"] for job_ in (plain, named)}
    assert len(costs) == 2
    # to 3 channels from 4 at half, and from 6 at half the resolution; a 3x3 at each; to 1
    weights = (4 + 1) * 3 + (6 + 1) * 3 + 2 * (81 + 6) + 4
    adds = 64 * (4 * 3 + 6 * 3 + 2 * 81 + 3)
    assert named.space.costs.heads["depth"] == Cost(weights, adds)
