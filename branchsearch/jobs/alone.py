"""One tree, trained without a search."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from branchsearch.jobs.check import check_space, check_tree
from branchsearch.jobs.reading import InvalidSpec, read_space
from branchsearch.jobs.spec import RecipeSpec
from branchsearch.jobs.training import train


def train_tree(
    space: str | Path,
    tree: str,
    *,
    root: Path,
    epochs: int | None,
    seed: int,
    threads: int,
    device: str,
) -> Iterator[dict[str, Any]]:
    """Train one tree of a search space by the default recipe, and keep it.

    Args:
        space: A file, or the name of a space that is shipped.
        tree: In the notation of ``Tree.parse``.
        root: Where data sets and trainings are kept.
        epochs: Passes over the training images; None for the recipe's own.
        seed: Of initial weights and of the order of images.
        threads: CPU threads.
        device: ``cpu`` or ``cuda``.

    Returns:
        A report after every epoch, as ``branchsearch.jobs.training.train`` gives them.

    Raises:
        InvalidSpec: The space is none, or the tree is not in it.
    """
    checked = check_space(read_space(space))
    try:
        parsed = check_tree(checked.space, tree)
    except ValueError as error:
        raise InvalidSpec(f"--tree: {error}") from None
    spec = RecipeSpec() if epochs is None else RecipeSpec(epochs=epochs)
    training = checked.training(
        root,
        parsed,
        recipe=spec.recipe(),
        balancing=spec.balancing,
        seed=seed,
        test=False,
        threads=threads,
        device=device,
    )
    return train(training)
