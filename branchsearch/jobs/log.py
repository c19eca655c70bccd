"""What happened to a job, as JSON lines in its folder: readable when everything else is gone.

``log.jsonl`` has the steps, the beginning and end of every attempt at a training, the epochs of
trainings that are no trials, and what became of trials. ``trials/<number>.jsonl`` has all of one
trial: its attempts, epochs, outcome, and where it failed.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class NothingLogged(LookupError):
    """There is no log of that."""


def job_log(folder: Path) -> Path:
    """Where the log of a job is, in the job's folder."""
    return folder / "log.jsonl"


def trial_log(folder: Path, number: int | str) -> Path:
    """Where the log of one of its trials is."""
    return folder / "trials" / f"{number}.jsonl"


def write(path: Path, event: str, **facts: Any) -> None:  # noqa: ANN401  # any JSON
    """Add a line; facts that are None are left out.

    A line that was cut off by a kill stays alone: the next one begins on its own.

    Raises:
        OSError: It cannot be written.
    """
    said = {name: fact for name, fact in facts.items() if fact is not None}
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"at": at, "event": event, **said})
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if file.tell() and _last_byte(path) != b"\n":
            line = f"\n{line}"
        file.write(f"{line}\n".encode())


def read(path: Path) -> list[Mapping[str, Any]]:
    """Every whole line; none where there is no such file."""
    if not path.is_file():
        return []
    events = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:  # cut off by a kill
            continue
    return events


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1)
