"""``python -m branchsearch`` is the program ``branchsearch``."""

from branchsearch.cli.main import main

main()
