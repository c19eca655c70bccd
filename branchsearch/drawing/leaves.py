"""The tasks in the order that every drawing lists them in, and their names fit to be shown."""

from branchsearch.tree import Tree


def leaves(tree: Tree) -> tuple[str, ...]:
    """The tasks so that those of any branch stand next to each other: no edge needs to cross.

    >>> leaves(Tree.parse("a+b+c > a+c,b"))
    ('a', 'c', 'b')
    """
    paths = dict(zip(tree.tasks, zip(*tree.branches, strict=True), strict=True))
    return tuple(sorted(tree.tasks, key=lambda task: (paths[task], task)))


def legible(name: str) -> str:
    """A name with whatever cannot be printed written out, as in ``\\x1b``.

    A task may be named with anything but blanks; a terminal and an XML reader may not be given
    everything.
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)
