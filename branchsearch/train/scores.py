"""The field's figure of merit: how much better a network is than one network per task.

Source: K.-K. Maninis et al., "Attentive Single-Tasking of Multiple Tasks", CVPR 2019, equation 5;
S. Vandenhende et al., "Multi-Task Learning for Dense Prediction Tasks: A Survey", TPAMI 2021.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean

from branchsearch.task import Task


def gain(task: Task, metric: float, reference: float) -> float:
    """By how many percent of the reference a metric is better (negative: worse).

    Raises:
        ValueError: The reference is 0, so that no percentage of it means anything.
    """
    if reference == 0:
        raise ValueError(
            f"task {task.name!r}: the single-task {task.metric} is 0; Δ has no meaning"
        )
    return 100 * task.direction.sign * (metric - reference) / abs(reference)


def gains(
    tasks: Sequence[Task], metrics: Mapping[str, float], references: Mapping[str, float]
) -> dict[str, float]:
    """Each task's gain, percent; see ``delta``."""
    return {task.name: gain(task, metrics[task.name], references[task.name]) for task in tasks}


def delta(
    tasks: Sequence[Task], metrics: Mapping[str, float], references: Mapping[str, float]
) -> float:
    """Mean gain over the tasks, in percent; above 0 where sharing pays.

    Args:
        tasks: The T tasks.
        metrics: The multi-task network's metric of each task.
        references: That of the single-task networks, trained the same way.
    """
    return fmean(gains(tasks, metrics, references).values())
