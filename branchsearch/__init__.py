"""Search for branched multi-task networks: which tasks share which stages of a backbone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from branchsearch.jobs.pipeline import Result

__version__ = "0.1.0"


def run(
    spec: str | Path | Mapping[str, Any],
    *,
    home: str | Path = "~/.branchsearch",
    new: bool = False,
) -> "Result":
    """Run a search job to its end, from wherever an earlier run of the same spec has left it.

    Args:
        spec: A YAML file, the name of a job that is shipped, or the same content as a mapping.
        home: Where everything is kept.
        new: Start a new job also when there is one with this spec.

    Returns:
        The chosen tree, its gain, the exported folder and the report.

    Raises:
        InvalidSpec: Before anything is started or written; says what, where and what is right.
        JobFailed: The job came to an end without a result.
    """
    # here, since torch, Ray and Optuna take seconds to import
    from branchsearch.jobs.home import Home
    from branchsearch.jobs.pipeline import run_job
    from branchsearch.jobs.progress import Silent

    return run_job(spec, Home(Path(home)), progress=Silent(), new=new)


def export_network(
    job: str,
    to: str | Path,
    *,
    home: str | Path = "~/.branchsearch",
    trial: int | None = None,
    tree: str | None = None,
    pareto: bool = False,
    weights: str | None = None,
    formats: Sequence[str] = (),
    fuse: bool = False,
    tasks: Sequence[str] = (),
    overwrite: bool = False,
) -> list[Path]:
    """Export a job's network as a folder that runs without branchsearch, and prove it.

    Args:
        job: Its id.
        to: The folder to make.
        home: Where the job is kept.
        trial: The network of that trial; without one, the network that the job chose.
        tree: The network of that tree instead.
        pareto: Those of all trials on the front of gain and size, each in a folder within ``to``.
        weights: ``trained``, ``confirmed`` or ``scratch``; None for the best there are.
        formats: Beside its source: ``pt2``, ``onnx``, ``pt2_half``, ``onnx_half``, ``onnx_int8``.
        fuse: Put batch norms into convolutions, in these formats.
        tasks: Those to serve; all by default.
        overwrite: Replace an earlier export.

    Returns:
        The folders made.

    Raises:
        JobNotFound: There is no such job.
        NothingToExport: It has no such network, or not yet.
        FolderExists: Something is at ``to`` that may not be replaced.
        ProofFailed: The exported network is not the one that was trained; nothing is at ``to``.
        ValueError: There are no such tasks, formats or weights, or it is no tree of the space.
    """
    from branchsearch.jobs.gather import seen
    from branchsearch.jobs.handing import Handing, Wanted, Weights, hand_out_wanted
    from branchsearch.jobs.home import Home
    from branchsearch.jobs.trainings import Trainings

    opened = Home(Path(home))
    at = seen(opened, opened.store.get(job))
    return hand_out_wanted(
        Trainings(at.checked, opened.root),
        at,
        Wanted(trial, tree, pareto, None if weights is None else Weights(weights)),
        Path(to),
        Handing(tuple(formats), fuse, tuple(tasks), overwrite),
    )
