from collections import Counter
from dataclasses import replace
from itertools import combinations, product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from branchsearch.space import space as space_module
from branchsearch.space.count import count_trees
from branchsearch.space.extremes import extremes
from branchsearch.space.limits import Bound, Limits, PairLimit, shared_stages
from branchsearch.space.space import CannotCount, EmptySpace, Space
from branchsearch.tree import Tree
from tests.generators import trees

FORTY = [f"t{number:02}" for number in range(40)]


@st.composite
def limits(draw: st.DrawFn, tasks: str, stages: int) -> Limits:
    """Limits of every kind, of which some leave no tree."""
    widths = st.lists(st.integers(1, len(tasks)), min_size=stages, max_size=stages)
    fewest = draw(st.just([]) | widths)
    most = draw(st.just([]) | widths)
    if fewest and most:
        most = [max(pair) for pair in zip(fewest, most, strict=True)]
    pairs = []
    if len(tasks) > 1:
        two = st.lists(st.sampled_from(tasks), min_size=2, max_size=2, unique=True)
        for one, other in draw(st.lists(two, max_size=3)):
            low, high = sorted(draw(st.tuples(st.integers(0, stages), st.integers(0, stages))))
            pairs.append(PairLimit((one, other), low, draw(st.sampled_from([None, high]))))
    prices = st.lists(st.integers(0, 9), min_size=stages, max_size=stages).map(tuple)
    bounds = st.builds(Bound, st.just("price"), prices, st.integers(0, 5), st.integers(5, 60))
    some = draw(st.lists(bounds, max_size=2))
    return Limits(tuple(fewest), tuple(most), tuple(pairs), tuple(some))


@st.composite
def spaces(draw: st.DrawFn, limited: bool = True) -> Space:
    tasks = "abcd"[: draw(st.integers(1, 4))]
    may_split = tuple(draw(st.lists(st.booleans(), min_size=1, max_size=3)))
    kept = draw(limits(tasks, len(may_split))) if limited else Limits()
    return Space(tuple(tasks), may_split, kept)


def all_trees(tasks: str, stages: int) -> set[Tree]:
    """Every tree, from every choice of labels: slow, and with nothing of the space's in it."""
    rows = list(product(range(len(tasks)), repeat=len(tasks)))
    found = set()
    for labels in product(rows, repeat=stages):
        try:
            found.add(Tree.from_labels(tasks, labels))
        except ValueError:
            continue
    return found


@pytest.mark.parametrize(("tasks", "stages"), [("abc", 3), ("abcd", 1), ("ab", 4), ("a", 2)])
def test_listing_finds_every_tree_once(tasks: str, stages: int):
    listed = list(Space.of(tasks, stages))
    assert len(listed) == len(set(listed))
    assert set(listed) == all_trees(tasks, stages)


@given(spaces())
def test_a_space_holds_what_it_lists_and_counts(space: Space):
    listed = list(space)
    assert len(set(listed)) == len(listed) == space.count()
    held = {tree for tree in Space.of(space.tasks, space.stages) if tree in space}
    assert held == set(listed)


@given(spaces())
def test_ranks_are_places_in_the_list(space: Space):
    for place, tree in enumerate(space):
        assert space.rank(tree) == place
        assert space.unrank(place) == tree


@pytest.mark.parametrize(
    "kept",
    [
        Limits(),
        Limits(fewest=(1, 2, 2, 3), most=(3, 3, 4, 5)),
        Limits(bounds=(Bound("price", (1, 2, 4, 8), 3, 50),)),
        Limits(pairs=(PairLimit(("a", "e"), 1, 3), PairLimit(("b", "c"), 0, 2))),
        Limits(
            most=(3, 4, 4, 5),
            pairs=(PairLimit(("a", "e"), 2),),
            bounds=(Bound("price", (1, 2, 4, 8), 3, 50),),
        ),
    ],
    ids=["none", "widths", "cost", "pairs", "all"],
)
def test_ranks_of_five_tasks_over_four_stages(kept: Limits):
    """Of every tree: spaces drawn at random are too small for prefixes with many ways on."""
    space = Space.of("abcde", 4, kept)
    listed = list(space)
    assert len(listed) == space.count() == sum(tree in space for tree in Space.of("abcde", 4))
    assert [space.rank(tree) for tree in listed] == list(range(len(listed)))
    assert [space.unrank(place) for place in range(0, len(listed), 7)] == listed[::7]


@given(spaces())
def test_each_limit_is_kept_as_it_says(space: Space):
    kept = space.limits
    for tree in space:
        widths = tree.widths
        assert all(w >= few for w, few in zip(widths, kept.fewest, strict=False))
        assert all(w <= many for w, many in zip(widths, kept.most, strict=False))
        for pair in kept.pairs:
            shared = sum(
                any(set(pair.tasks) <= set(members) for members in tree.members(stage))
                for stage in range(space.stages)
            )
            assert pair.least <= shared <= (space.stages if pair.most is None else pair.most)
        for bound in kept.bounds:
            copies = [len(tree.members(stage)) for stage in range(space.stages)]
            paid = sum(p * n for p, n in zip(bound.prices, copies, strict=True))
            assert paid + bound.rest <= bound.most


@given(spaces(limited=False))
def test_branches_part_only_where_they_may(space: Space):
    for tree in space:
        widths = (1, *tree.widths)
        parts_at = [widths[stage] != widths[stage + 1] for stage in range(space.stages)]
        assert not any(
            parts and not may for parts, may in zip(parts_at, space.may_split, strict=True)
        )


@given(spaces(limited=False))
def test_the_extremes_share_most_and_least(space: Space):
    most, least = extremes(space)
    assert most in space
    assert least in space
    for tree in space:
        pairs = zip(most.widths, tree.widths, least.widths, strict=True)
        assert all(few <= width <= many for few, width, many in pairs)


@given(spaces())
def test_extremes_keep_to_limits(space: Space):
    if space.count():
        most, least = extremes(space)
        assert most in space
        assert least in space
        if space.limits.pairs:
            copies = [sum(tree.widths) for tree in space]
            assert sum(most.widths) == min(copies)
            assert sum(least.widths) == max(copies)
    else:
        with pytest.raises(EmptySpace):
            extremes(space)


@given(spaces(limited=False))
def test_free_stages_stand_for_all(space: Space):
    if space.free_stages:
        for tree in space:
            assert space.widen(space.narrow(tree)) == tree


def test_the_first_tree_shares_all_and_the_last_none():
    first, *_, last = Space.of("abcd", 3)
    assert (first, last) == (Tree.share_all("abcd", 3), Tree.share_none("abcd", 3))


@pytest.mark.parametrize(
    "space",
    [
        Space.of("abc", 3),
        Space.of("abcd", 3, Limits(most=(2, 3, 4), fewest=(1, 2, 2))),
        Space.of("abcd", 3, Limits(bounds=(Bound("price", (1, 2, 4), 0, 20),))),
        Space.of("abcd", 3, Limits(pairs=(PairLimit(("a", "d"), 1, 2),), most=(3, 3, 3))),
    ],
    ids=["all", "widths", "cost", "pair and widths"],
)
def test_sampling_is_uniform_over_trees(space: Space):
    random, trees = Random(5), space.count()
    drawn = Counter(space.sample(random) for _ in range(trees * 100))
    assert len(drawn) == trees
    assert chisquare(list(drawn.values())).pvalue > 0.001


@given(spaces(), st.integers(0, 2**32))
def test_samples_are_in_the_space(space: Space, seed: int):
    if space.count():
        assert space.sample(Random(seed)) in space
    else:
        with pytest.raises(EmptySpace):
            space.sample(Random(seed))


def test_twelve_tasks_with_limits_on_pairs_are_counted_by_another_way_round():
    # a and b share exactly 0, 1 or 2 stages: three limits that part the space
    tasks = "abcdefghijkl"
    shares = [Limits(pairs=(PairLimit(("a", "b"), n, n),)) for n in range(3)]
    assert sum(Space.of(tasks, 2, n).count() for n in shares) == count_trees(12, 2)


def test_a_cost_and_widths_that_say_the_same_allow_the_same():
    wide = Space.of("abcdef", 3, Limits(most=(6, 6, 3)))
    dear = Space.of("abcdef", 3, Limits(bounds=(Bound("price", (0, 0, 1), 2, 5),)))
    assert list(wide) == list(dear)


def test_stage_and_width_limits_are_exact_at_sixty_four_tasks():
    tasks = [f"t{number:02}" for number in range(64)]
    assert Space.of(tasks, 5).count() == count_trees(64, 5)
    # two stages of which the first is shared: as many trees as partitions of one stage
    shared = Space.of(tasks, 2, Limits(most=(1, 64)))
    assert shared.count() == count_trees(64, 1)
    assert shared.rank(shared.unrank(10**60)) == 10**60
    own = Space.of(tasks, 2, Limits(fewest=(1, 64)))
    assert own.count() == count_trees(64, 1)


def test_pair_limits_of_many_tasks_cannot_be_counted_but_drawn():
    space = Space.of(FORTY, 3, Limits(pairs=(PairLimit(("t00", "t01"), 0, 1),)))
    with pytest.raises(CannotCount, match="up to 12 tasks, and here are 40"):
        space.count()
    tree = space.sample(Random(0))
    assert shared_stages(tree, "t00", "t01") <= 1
    for what in (iter, lambda space: space.rank(tree), lambda space: space.unrank(0)):
        with pytest.raises(CannotCount):
            what(space)
    most, least = extremes(space)
    assert most in space
    assert most.widths == (1, 2, 2)
    assert least.widths == (40, 40, 40)


def test_drawing_under_pair_limits_of_many_tasks_is_uniform():
    # at most one pair of thirteen tasks shares the stage, and none of the first ten: few trees
    tasks = FORTY[:13]
    pairs = tuple(PairLimit(pair, 0, 0) for pair in combinations(tasks[:10], 2))
    random, space = Random(1), Space.of(tasks, 1, Limits(fewest=(12,), pairs=pairs))
    drawn = Counter(space.sample(random) for _ in range(1000))
    assert len(drawn) == 1 + 13 * 12 // 2 - len(pairs)
    assert chisquare(list(drawn.values())).pvalue > 0.001


@pytest.mark.parametrize("kept", ["widths", "cost"])
def test_beside_pair_limits_others_are_drawn_to_without_trying(kept: str):
    # of all trees of forty tasks next to none are so narrow
    pairs = (PairLimit(("t00", "t01"), 3),)
    bound = Bound("copies", (1, 1, 1), 0, 6)
    limits = Limits(most=(1, 2, 3)) if kept == "widths" else Limits(bounds=(bound,))
    space = Space.of(FORTY, 3, replace(limits, pairs=pairs))
    assert sum(space.sample(Random(0)).widths) <= 6


def test_pair_limits_that_nothing_drawn_keeps_are_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(space_module, "_PATIENCE", 1000)
    pairs = tuple(PairLimit((one, "t39"), 2) for one in FORTY[:20])
    with pytest.raises(EmptySpace, match="none of 1,000 trees drawn at random"):
        Space.of(FORTY, 2, Limits(pairs=pairs)).sample(Random(0))


@given(trees())
def test_a_tree_of_other_tasks_is_not_in_the_space(tree: Tree):
    assert tree not in Space.of([*tree.tasks, "zz"], len(tree.branches))
    assert tree not in Space.of(tree.tasks, len(tree.branches) + 1)


def test_unsorted_tasks_are_refused():
    with pytest.raises(ValueError, match="not sorted"):
        Space(("b", "a"), (True,))


def test_a_rank_that_is_none_is_refused():
    space = Space.of("abc", 2)
    with pytest.raises(IndexError, match="rank 12 of a space of 12 trees"):
        space.unrank(12)
    with pytest.raises(ValueError, match="not in the space"):
        space.rank(Tree.parse("a+b"))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(most=(1,)), "one number in 1 ... 3 for each of 2 stages"),
        (Limits(fewest=(0, 1)), "fewest branches"),
        (Limits(fewest=(1, 3), most=(3, 2)), "stage 1 cannot have at least 3 and at most 2"),
        (Limits(pairs=(PairLimit(("a", "z")),)), "a pair is two of a, b, c"),
        (Limits(pairs=(PairLimit(("a", "a")),)), "a pair is two of"),
        (Limits(pairs=(PairLimit(("a", "b"), 2, 1),)), "cannot be that a and b share at least 2"),
        (Limits(pairs=(PairLimit(("a", "b"), 3),)), "there are 2 stages"),
        (Limits(bounds=(Bound("price", (1,), 0, 1),)), "1 prices for 2 stages"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: Limits, message: str):
    with pytest.raises(ValueError, match=message):
        Space.of("abc", 2, limits)


def test_a_negative_price_is_refused():
    with pytest.raises(ValueError, match="less than 0 price"):
        Bound("price", (1, -1), 0, 3)


def test_many_stages_beside_pair_limits_are_counted_where_numbers_last():
    deep, pairs = (1,) * 20 + (4,) * 4, (PairLimit(("a", "b"), 20, 23),)
    few = Space.of("abcdef", 24, Limits(most=deep, pairs=pairs))
    apart = [few.count(), Space.of("abcdef", 24, Limits(most=deep)).count()]
    shallow = Limits(most=(4,) * 4, pairs=(PairLimit(("a", "b"), 0, 3),))
    assert apart == [
        Space.of("abcdef", 4, shallow).count(),
        Space.of("abcdef", 4, replace(shallow, pairs=())).count(),
    ]
    own = Space.of("abcdef", 24, Limits(pairs=pairs))
    assert own.rank(own.unrank(own.count() - 1)) == own.count() - 1


def test_widths_of_too_many_stages_beside_pair_limits_cannot_be_counted_but_drawn():
    bound = Bound("copies", (1,) * 24, 0, 100)
    space = Space.of("abcdef", 24, Limits(pairs=(PairLimit(("a", "b"), 1),), bounds=(bound,)))
    with pytest.raises(CannotCount, match="of 24 stages beside them, take 6 tasks beyond"):
        space.count()
    assert space.sample(Random(0)) in space
    assert all(tree in space for tree in extremes(space))


@pytest.mark.parametrize(("tasks", "stages"), [(257, 1), (2, 129)])
def test_spaces_too_large_to_count_are_refused(tasks: int, stages: int):
    with pytest.raises(ValueError, match=f"at most 256 tasks and 128 stages, not {tasks} and"):
        Space.of([f"t{number:03}" for number in range(tasks)], stages)


def test_the_most_stages_are_counted():
    assert Space.of("ab", 128).count() == 129
