"""Why a training did not come to its end.

Errors are told apart by name and by words: this is imported by every process that trains, and torch
only where a training does so itself.
"""

from enum import StrEnum


class Failure(StrEnum):
    """Why a training did not come to its end."""

    EXCEPTION = "failed"  # raised by the training
    NOT_FINITE = "not_finite"  # a loss or a metric is not a number
    OUT_OF_MEMORY = "out_of_memory"  # of a GPU or of the machine, as long as it is an exception
    TIMED_OUT = "timed_out"  # took longer than a training may; ended by the engine
    KILLED = "killed"  # its process died, for whatever reason


#: What is said of a training that is not tried again after ``Failure.KILLED``.
DIED = "its process died, and it has run as often as it may"

#: What allocators say that raise a plain RuntimeError: torch's on a CPU, cuBLAS, CUDA itself.
_MEMORY_WORDS = (
    "can't allocate memory",
    "not enough memory",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "OutOfMemoryError",  # of a process that trained together with others: only its trace is left
)


def failure_of(error: Exception) -> Failure:
    """What kind of failure an exception of a training is.

    A process that the kernel ended for want of memory raises nothing: that is ``KILLED``, and
    cannot be told from any other kill.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, MemoryError) or "OutOfMemoryError" in names:
        return Failure.OUT_OF_MEMORY
    if isinstance(error, RuntimeError) and any(words in str(error) for words in _MEMORY_WORDS):
        return Failure.OUT_OF_MEMORY
    return Failure.NOT_FINITE if "NotFinite" in names else Failure.EXCEPTION
