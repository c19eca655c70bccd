"""What holds for the whole suite."""

import os
import signal

import torch
from hypothesis import settings

# one thread: the machine's other cores run other workers, and small networks gain nothing
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)

settings.register_profile("branchsearch", deadline=None)  # first calls of torch are slow
settings.load_profile("branchsearch")

# what a shell starts in the background ignores interrupts, and so would all that is started here
signal.signal(signal.SIGINT, signal.default_int_handler)
