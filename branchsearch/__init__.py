"""Search for branched multi-task networks: which tasks share which stages of a backbone."""

from collections.abc import Mapping
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
