"""What judges each task: accumulators over batches, as torchmetrics has them.

Each factory of these files takes the task and gives a fresh accumulator: ``update(predicted,
target)`` with the shapes of ``branchsearch.train.losses``, then ``compute()``. What has no label
does not count; where nothing has one, the metric is NaN. Updates in pieces give what one update
gives, and several processes may each update their own.
"""

from branchsearch.backbones.operators import declare_missing

# torchmetrics imports torchvision wherever there is one, also one that cannot be imported
declare_missing()
