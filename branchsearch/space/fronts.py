"""Pareto fronts over costs and a score, all to be small.

Shape letters: N = points, C = cost columns, K = how many points may be in front of a kept one.
"""

import numpy as np

#: Points that are compared with those in front of them at once.
_AT_ONCE = 512


def foremost(costs_NC: np.ndarray, score_N: np.ndarray, keep: int) -> np.ndarray:
    """Find the points that fewer than ``keep`` others are in front of.

    A point is in front of another when it is as small or smaller in every cost and in the score; of
    equal points the earlier one is.

    Returns:
        Their places, by rising first cost, then the others, then the score.
    """
    columns = costs_NC.shape[1]
    if columns == 1 and keep == 1:
        return _staircase(costs_NC[:, 0], score_N)
    order = np.lexsort((score_N, *costs_NC.T[::-1]))
    if columns > 1:
        places = _unbeaten(costs_NC[order], score_N[order], keep)
    else:
        places = _lowering(score_N[order], keep) if columns else np.arange(min(keep, len(order)))
    kept: np.ndarray = order[places]
    return kept


def _staircase(cost_N: np.ndarray, score_N: np.ndarray) -> np.ndarray:
    """The usual front over one cost, by one sort of the costs: most of the time goes there."""
    order: np.ndarray = np.argsort(cost_N)
    scores = score_N[order]
    lower = np.empty(len(order), np.bool)
    lower[:1] = True
    np.less(scores[1:], np.minimum.accumulate(scores)[:-1], out=lower[1:])
    order = order[lower]
    costs = cost_N[order]
    last = np.empty(len(order), np.bool)  # of several at one cost the lowest comes last
    last[-1:] = True
    np.greater(costs[1:], costs[:-1], out=last[:-1])
    return order[last]


def _lowering(score_N: np.ndarray, keep: int) -> np.ndarray:
    """Where one cost rises: the places of scores that go below all but fewer than K before.

    Takes off one front after another: whatever is not in the first K has K points in front of it.
    What is in them may have so many as well; it is kept, which does no harm.
    """
    places = np.arange(len(score_N))
    kept = np.zeros(len(score_N), bool)
    for _ in range(keep):
        below = np.minimum.accumulate(score_N[places])
        lower = np.ones(len(places), bool)
        lower[1:] = score_N[places[1:]] < below[:-1]
        kept[places[lower]] = True
        places = places[~lower]
        if not len(places):
            break
    return np.flatnonzero(kept)


def _unbeaten(costs_NC: np.ndarray, score_N: np.ndarray, keep: int) -> np.ndarray:
    """As ``foremost``, for points in lexicographic order: only earlier ones can be in front."""
    points = np.column_stack([costs_NC, score_N])
    kept = np.empty((0, points.shape[1]))
    places: list[int] = []
    for start in range(0, len(points), _AT_ONCE):
        block = points[start : start + _AT_ONCE]
        in_front = (kept[None] <= block[:, None]).all(axis=2).sum(axis=1)
        among = np.flatnonzero(in_front < keep)
        block, in_front = block[among], in_front[among]
        beats = np.all(block[None] <= block[:, None], axis=2)  # [later, earlier]
        taken: list[int] = []
        for place in range(len(block)):
            if in_front[place] + np.count_nonzero(beats[place, taken]) < keep:
                taken.append(place)
        kept = np.concatenate([kept, block[taken]])
        places += (start + among[taken]).tolist()
    return np.array(places, dtype=np.int64)
