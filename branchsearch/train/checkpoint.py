"""The states that a training can go on from after its process was killed."""

import io
import shutil
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from branchsearch.files import write_whole

#: How many states are kept: the newest, and one to fall back upon.
_KEPT = 2

_SUFFIX = ".checkpoint"


class Checkpoints:
    """The last two states of one training, in a folder of its own.

    A file holds the SHA-256 of what follows, a line end, and what ``torch.save`` made of the state.
    Files appear whole; one that a failing disk has changed is passed over for the older.

    Args:
        folder: Made with the first state.
        every_seconds: A state is only kept when the last one is this old, so that short epochs do
            not spend their time on writing; 0 keeps every state.
        clock: Gives seconds; for tests.
    """

    def __init__(
        self,
        folder: Path,
        *,
        every_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self._every, self._clock = folder, every_seconds, clock
        self._last = clock()

    def save(self, number: int, state: Mapping[str, Any]) -> None:
        """Keep a state of numbers, texts, tensors and containers of them, if it is time to.

        Args:
            number: Rises with every state of a training.
            state: Everything that the training depends on from here.

        Raises:
            OSError: With the path; the states kept before are still there.
        """
        if self._clock() - self._last < self._every:
            return
        content = io.BytesIO()
        torch.save(dict(state), content)
        written = content.getvalue()
        digest = sha256(written).hexdigest().encode()
        write_whole(self.folder / f"{number:08}{_SUFFIX}", digest + b"\n" + written)
        for old in self._files()[:-_KEPT]:
            old.unlink(missing_ok=True)
        self._last = self._clock()

    def newest(self) -> dict[str, Any] | None:
        """The newest state that is whole, on the CPU; None where there is none."""
        for file in reversed(self._files()):
            digest, _, written = file.read_bytes().partition(b"\n")
            if sha256(written).hexdigest().encode() == digest:
                state: dict[str, Any] = torch.load(
                    io.BytesIO(written), map_location="cpu", weights_only=True
                )
                return state
        return None

    def remove(self) -> None:
        """Forget all states."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"[0-9]*{_SUFFIX}"))
