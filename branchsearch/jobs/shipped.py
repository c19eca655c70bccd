"""The search spaces and jobs that come with branchsearch."""

from pathlib import Path

import branchsearch


def shipped(kind: str) -> dict[str, Path]:
    """The YAML files of ``search_spaces`` or ``jobs``, by name without ending.

    In a checkout they stand beside the package; a wheel carries them inside it.
    """
    package = Path(branchsearch.__file__).parent
    inside = package / "shipped" / kind
    folder = inside if inside.is_dir() else package.parent / kind
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
