"""Which image goes to which part, by what is in it.

A split by content gives equal images to one part, and an image keeps its part when others are
added, taken away, renamed or put in another order.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from math import isclose

from branchsearch.datasets.dataset import PARTS
from branchsearch.datasets.faults import WrongArgument, did_you_mean

#: The fraction of all images that each part takes where nobody says.
SHARES = {"train": 0.7, "validation": 0.1, "test": 0.15, "probe": 0.05}


class NotDisjoint(ValueError):
    """Equal images are in two parts."""


def check_shares(shares: Mapping[str, float]) -> None:
    """See that there is a positive share for every part, and that they add up to 1.

    Raises:
        WrongArgument: Naming what is wrong.
    """
    there_are = ", ".join(PARTS)
    for part in shares:
        if part not in PARTS:
            meant, at = did_you_mean(part, PARTS), ("shares", part)
            raise WrongArgument(f"shares: no part {part!r}; there are {there_are}{meant}", *at)
    if shares.keys() != set(PARTS):
        raise WrongArgument(
            f"shares are needed for {there_are}, got {', '.join(shares)} only", "shares"
        )
    for part, share in shares.items():
        if not 0 < share < float("inf"):
            fault = f"the share of {part} must be positive, got {share}"
            raise WrongArgument(fault, "shares", part)
    total = sum(shares.values())
    if not isclose(total, 1, abs_tol=1e-6):
        raise WrongArgument(
            f"the shares of {there_are} must add up to 1, and these add up to {total:.9g}", "shares"
        )


def split(
    digests: Sequence[str],
    named: Sequence[str | None],
    rows: Sequence[str],
    *,
    shares: Mapping[str, float],
    seed: int,
) -> list[str]:
    """The part of every image.

    Images without a named part are spread over all parts. Where parts are named, one that nobody
    names is taken from those that are named ``train``.

    Args:
        digests: A hash of each image's content.
        named: Each image's part, if somebody has said so.
        rows: What to call each image in an error.
        shares: The fraction of all images that each part takes; together 1.
        seed: Of the spreading.

    Raises:
        NotDisjoint: Two equal images are named for two parts.
    """
    named_parts = {part for part in named if part is not None}
    spread = [part for part in PARTS if part == "train" or part not in named_parts]
    parts = [
        _drawn(digest, spread, shares, seed) if part in (None, "train") else str(part)
        for digest, part in zip(digests, named, strict=True)
    ]
    first: dict[str, int] = {}
    for index, (digest, part) in enumerate(zip(digests, parts, strict=True)):
        other = first.setdefault(digest, index)
        if parts[other] != part:
            raise NotDisjoint(
                f"{rows[other]} and {rows[index]}: the same image, once in {parts[other]} and "
                f"once in {part}"
            )
    return parts


def _drawn(digest: str, parts: Sequence[str], shares: Mapping[str, float], seed: int) -> str:
    number = int.from_bytes(sha256(f"{seed} {digest}".encode()).digest()[:8]) / 2**64
    left = number * sum(shares[part] for part in parts)
    for part in parts[:-1]:
        left -= shares[part]
        if left < 0:
            return part
    return parts[-1]
