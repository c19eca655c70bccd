"""What samplers of one problem need not work out twice. Nothing depends on it but time.

A sampler is made anew for every proposal, from the study alone; most of what it computes is what
the last one has computed.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from hashlib import sha256
from typing import TypeVar

from branchsearch.search.candidate import Candidate
from branchsearch.search.samplers.tree_gp.observations import Told
from branchsearch.search.samplers.tree_gp.paths import Pool
from branchsearch.search.samplers.tree_gp.posterior import Posterior, Weighed

_What = TypeVar("_What")

#: So many of each kind are kept, the ones used last.
_KEPT = 4


class Memory:
    """Keeps the last pools, weights and posteriors, by what they are made of."""

    def __init__(self) -> None:
        self._pools: OrderedDict[Hashable, Pool] = OrderedDict()
        self._weighed: OrderedDict[Hashable, Weighed] = OrderedDict()
        self._posteriors: OrderedDict[Hashable, Posterior] = OrderedDict()

    def pool(self, candidates: Sequence[Candidate], make: Callable[[], Pool]) -> Pool:
        """The pool of candidates."""
        return _kept(self._pools, tuple(candidates), make)

    def weighed(self, facts: Told, make: Callable[[], Weighed]) -> Weighed:
        """The settings that trainings weigh."""
        return _kept(self._weighed, _content(facts), make)

    def posterior(self, facts: Told, make: Callable[[], Posterior]) -> Posterior:
        """What trainings say."""
        return _kept(self._posteriors, _content(facts), make)


def _content(facts: Told) -> str:
    hashed = sha256(repr(facts.candidates).encode())
    hashed.update(facts.gains_NT.tobytes())
    hashed.update(facts.blur_NT.tobytes())
    return hashed.hexdigest()


def _kept(kept: OrderedDict[Hashable, _What], key: Hashable, make: Callable[[], _What]) -> _What:
    if key not in kept:
        kept[key] = make()
        if len(kept) > _KEPT:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return kept[key]
