"""What a comparison of representations needs of features, however many there are.

Shape letters: K = probe images, F = features of one image, f = features in one chunk.

Features of a network's stage may be millions per image. Every measure here that reads them needs
only inner products between images, so they pass by once, in chunks of columns, and a [K, K] matrix
stays.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from scipy.linalg.blas import dsyrk, ssyrk
from torch import Tensor

#: Columns of a chunk multiplied at once on a CPU, if it has more than the second number.
_COLUMNS, _WHOLE = 5120, 16384
_COLUMNS_ON_GPU = 65536

#: What all images may have in common, as a share of the squared features, before it is taken off:
#: in single precision, subtracting it later loses as many digits as it is larger than the rest.
_COMMON = 0.8

#: The same for the mean of one image's features.
_OWN = 0.6

#: Of what is left of an image when something common was taken off, the least that is its own.
_LEAST = 0.2

#: So many images are looked at first, to foresee that.
_SOME = 16

#: Squares below this, in the mean over an image's features, lose digits.
_TINY = {torch.float32: 1e-30, torch.float64: 1e-290}


@dataclass(frozen=True, slots=True)
class Gram:
    """The inner products of K images' features, on the device where the features were.

    Of every feature a number is taken off that is the same for all images: 0, or its mean over the
    images where that is most of it. Then, of every image: 0, or about its mean over the features.
    What a comparison asks for is then a sum of parts that are no larger than the differences
    between images: subtracting large products from each other would lose them.

    Attributes:
        products: Shape [K, K], inner products of what is left of the images.
        sums: Shape [K], what is left of an image, summed over its features.
        own: Shape [K], what was taken off of all features of an image.
        with_common: Shape [K], inner product of an image, less what is common to all, with what is,
            both less their means over the features.
        common_mean: What was taken off of all images, in the mean over the features.
        common_square: The same less its mean, squared and summed.
        columns: F, how many features an image has.
        flat: Numbers of the images whose features are all equal.
        source: Whose features they are, for messages; may be empty.
    """

    products: Float[Tensor, "K K"]
    sums: Float[Tensor, " K"]
    own: Float[Tensor, " K"]
    with_common: Float[Tensor, " K"]
    common_mean: float
    common_square: float
    columns: int
    flat: tuple[int, ...] = ()
    source: str = ""

    @property
    def images(self) -> int:
        """K, the number of probe images."""
        return len(self.products)

    @property
    def means(self) -> Float[Tensor, " K"]:
        """Of an image, less what is common to all, the mean over its features."""
        return self.own + self.sums / self.columns

    def without_means(self) -> Float[Tensor, "K K"]:
        """Inner products of images, less what is common to all and less these means; in double."""
        return self.products.double().addr(self.sums, self.sums, alpha=-1 / self.columns)


def gram(chunks: Tensor | Iterable[Tensor], *, source: str = "") -> Gram:
    """Take the inner products of features that may be more than memory holds.

    Half and bfloat16 are multiplied in single precision, double in double; sums over pieces are in
    double. From single precision, dissimilarities of 500 images with 10,000 features differ from
    those in double by less than 1e-6, and their ranks correlate to 1 - 1e-7 or better: also after
    a ReLU, where features or images have means of 1000 times their spread, or where images are all
    nearly the same. Where squares overflow or vanish in single precision, or an image is small
    beside what all have in common, products are taken in double, at half the speed.

    Args:
        chunks: Features [K, F], or an iterable of column chunks [K, f]; rows are always the same K
            images in the same order.
        source: Whose features, as in ``depth at stage 2``; messages name it.

    Raises:
        ValueError: There are no features; chunks have different numbers of images; or some feature
            is NaN, infinite, or so large or small that its square overflows or vanishes in double,
            too. The message names the images.
    """
    sums = None
    for piece in _pieces(chunks):
        if sums is None:
            sums = _Sums(piece, source)
        sums.add(piece)
    if sums is None:
        raise ValueError(f"{_whose(source)}there are no features")
    return sums.gram()


def _pieces(chunks: Tensor | Iterable[Tensor]) -> Iterator[Float[Tensor, "K _"]]:
    for chunk in [chunks] if isinstance(chunks, Tensor) else chunks:
        if chunk.ndim != 2:
            raise ValueError(f"features are [images, features], not of shape {tuple(chunk.shape)}")
        columns = chunk.shape[1]
        whole = columns <= _WHOLE and chunk.is_contiguous()
        width = _COLUMNS_ON_GPU if chunk.is_cuda else columns if whole else _COLUMNS
        for start in range(0, columns, max(1, width)):
            yield chunk.detach()[:, start : start + width]


class _Sums:
    """What has passed by so far."""

    def __init__(self, first: Float[Tensor, "K _"], source: str) -> None:
        images, device = len(first), first.device
        self.source = source
        self.dtype = torch.float32
        self.centred = self.levelled = False
        # columns first, as BLAS gives them
        self.products = torch.zeros(images, images, dtype=torch.float64, device=device).T
        self.sums = torch.zeros(images, dtype=torch.float64, device=device)
        self.own = torch.zeros(images, dtype=torch.float64, device=device)
        self.with_common = torch.zeros(images, dtype=torch.float64, device=device)
        self.common_mean = self.common_square = 0.0
        self.columns = 0
        self.room = torch.empty(0, device=device)
        self.first_column = first[:, :1].clone()
        self.flat = torch.ones(images, dtype=torch.bool, device=device)

    def add(self, piece: Float[Tensor, "_ f"]) -> None:
        """Take a piece of columns in; ValueError if images are missing or values not finite."""
        if len(piece) != len(self.sums):
            raise ValueError(
                f"{_whose(self.source)}chunks of features have {len(self.sums)} and {len(piece)} "
                f"images; every chunk needs all of them"
            )
        self.flat = _as_first(piece, self.first_column, self.flat)
        single = piece.dtype != torch.float64 and self._added(piece.float())
        if not single and not self._added(piece.double()):
            unclean = (~piece.isfinite()).any(dim=1).nonzero().flatten().tolist()
            raise ValueError(
                f"{_whose(self.source)}features of images {unclean} are NaN or inf"
                if unclean
                else f"{_whose(self.source)}features are too large or too small: their squares "
                f"overflow or vanish; scale them"
            )

    def _added(self, piece: Float[Tensor, "_ f"]) -> bool:
        """Take a piece in, unless its precision does not suffice."""
        double = piece.dtype == torch.float64
        self.centred, self.levelled = self.centred or double, self.levelled or double
        if not (self.columns or double):
            self._foresee(piece)
        left, common, own = self._left(piece)
        products, sums = _products(left), left.sum(dim=1)
        energy = products.diagonal()
        if not energy.isfinite().all():
            return False
        if not self.levelled and _has_means(sums, energy, piece.shape[1]):
            self.levelled = True
            return self._added(piece)
        if not self.centred and _mostly_common(products):
            self.centred = True
            return self._added(piece)
        if _vanishing(left, energy):
            return False
        if self.centred and not double and _unlike_others(left, energy, common):
            return False
        self.dtype = torch.promote_types(self.dtype, piece.dtype)
        self._merge(left, products, sums.double(), common.double(), own.double())
        return True

    def _foresee(self, piece: Float[Tensor, "K f"]) -> None:
        """What some images say of all: else most products of a first piece are taken twice."""
        some = piece[:: max(1, len(piece) // _SOME)]
        sums = some.sum(dim=1)
        if not self.levelled and _has_means(sums, some.square().sum(dim=1), some.shape[1]):
            self.levelled = True
            some = some - sums[:, None] / some.shape[1]
        self.centred = self.centred or _mostly_common((some @ some.T).triu())

    def _left(
        self, piece: Float[Tensor, "K f"]
    ) -> tuple[Float[Tensor, "K f"], Float[Tensor, " f"], Float[Tensor, " K"]]:
        """What is left of a piece, rows one after another in memory, and what was taken off.

        That is a number per feature, and then about the mean of every image.
        """
        common, own = piece.new_zeros(piece.shape[1]), piece.new_zeros(len(piece))
        if not (self.centred or self.levelled) and piece.is_contiguous():
            return piece, common, own
        if self.room.shape != piece.shape or self.room.dtype != piece.dtype:
            self.room = torch.empty_like(piece, memory_format=torch.contiguous_format)
        if self.centred:
            common = piece.mean(dim=0)
            torch.sub(piece, common, out=self.room)
        else:
            self.room.copy_(piece)
        if self.levelled:
            own = _coarse_means(self.room)
            self.room -= own[:, None]
        return self.room, common, own

    def _merge(
        self,
        left: Float[Tensor, "K f"],
        products: Float[Tensor, "K K"],
        sums: Float[Tensor, " K"],
        common: Float[Tensor, " f"],
        own: Float[Tensor, " K"],
    ) -> None:
        """Add what was computed of a piece: where it had other numbers taken off, put them back."""
        before, here = self.columns, left.shape[1]
        self.columns += here
        if not before:
            self.own = own
        back = own - self.own
        mean = float(common.mean())
        if self.centred:
            # T. Chan, G. Golub and R. LeVeque, "Algorithms for Computing the Sample Variance", The
            # American Statistician 1983: with means of pieces as large as they like
            varying, step = common - mean, mean - self.common_mean
            between = before * here / self.columns
            means = back + sums / here - self.sums / max(before, 1)
            self.with_common += left @ varying.to(left.dtype) + between * step * means
            self.common_square += float(varying @ varying) + between * step**2
        self.common_mean += (mean - self.common_mean) * here / self.columns
        self.products += products
        self._shift(back, sums, here)
        self.sums += sums + here * back

    def _shift(self, by: Float[Tensor, " K"], sums: Float[Tensor, " K"], columns: int) -> None:
        """Add to the products what a number per image, added to so many columns, adds."""
        if by.any():
            self.products += torch.outer(by, sums) + torch.outer(sums + columns * by, by)

    def gram(self) -> Gram:
        """What is to be kept."""
        energy = self.products.diagonal()
        squares = self.sums**2 / self.columns
        spread = ((energy - squares) / self.columns).clamp(min=0).sqrt()
        means = _coarse(self.sums / self.columns, spread)
        off = torch.where(squares > _OWN * energy, means, 0.0)
        self._shift(-off, self.sums, self.columns)
        products = self.products.to(self.dtype).triu()
        products += products.triu(1).T
        return Gram(
            products=products,
            sums=self.sums - self.columns * off,
            own=self.own + off,
            with_common=self.with_common,
            common_mean=self.common_mean,
            common_square=self.common_square,
            columns=self.columns,
            flat=tuple(self.flat.nonzero().flatten().tolist()),
            source=self.source,
        )


def _products(rows: Float[Tensor, "K f"]) -> Float[Tensor, "K K"]:
    """The upper triangle of rows times their transpose; on a CPU no more is computed."""
    if rows.is_cuda:
        return (rows @ rows.T).triu()
    multiply = dsyrk if rows.dtype == torch.float64 else ssyrk
    return torch.from_numpy(multiply(1.0, rows.numpy().T, trans=1))


def _coarse_means(rows: Float[Tensor, "K f"]) -> Float[Tensor, " K"]:
    """About the mean of every row."""
    some = rows[:, :: max(1, rows.shape[1] // 64)]
    return _coarse(rows.mean(dim=1), some.std(dim=1, correction=0))


def _coarse(means: Float[Tensor, " K"], spread: Float[Tensor, " K"]) -> Float[Tensor, " K"]:
    """Means to an eighth of the spread of what they are means of.

    No better, so that whole numbers stay multiples of a power of two, and their products exact.
    """
    step = torch.exp2(spread.log2().floor() - 2)
    coarse = (means / step).round() * step
    return torch.where(coarse.isfinite(), coarse, means)


def _has_means(sums: Float[Tensor, " K"], squares: Float[Tensor, " K"], columns: int) -> bool:
    """Whether most of some image's features, squared and summed, is due to their mean."""
    return bool((sums**2 / columns > _OWN * squares).any())


def _mostly_common(products: Float[Tensor, "K K"]) -> bool:
    """Whether images have so much in common, by the upper triangle, that it is to come off."""
    energy = products.diagonal()
    images = (2 * products.sum() - energy.sum()) / len(products)
    return bool(images > _COMMON * energy.sum())


def _unlike_others(
    left: Float[Tensor, "K f"], energy: Float[Tensor, " K"], common: Float[Tensor, " f"]
) -> bool:
    """Whether some image is small beside what was taken off of all, as a dark one is.

    What is left of it is then mostly that, and cancels when it is put back.
    """
    varying = common - common.mean()
    own = energy + 2 * (left @ varying) + varying @ varying
    return bool((own < _LEAST * energy).any())


def _vanishing(rows: Float[Tensor, "K f"], energy: Float[Tensor, " K"]) -> bool:
    """Whether some rows are so small that their squares have lost digits, or are 0."""
    small = energy < _TINY[rows.dtype] * rows.shape[1]
    return bool(small.any() and rows[small].any())


def _as_first(
    piece: Float[Tensor, "K f"], first: Float[Tensor, "K 1"], among: Bool[Tensor, " K"]
) -> Bool[Tensor, " K"]:
    """Which of some images have their first feature everywhere in a piece, too."""
    # a few columns first: they rule out nearly all images for little
    among = among & (piece[:, :: max(1, piece.shape[1] // 8)] == first).all(dim=1)
    asked = among.nonzero().flatten()
    among[asked] = (piece[asked] == first[asked]).all(dim=1)
    return among


def _whose(source: str) -> str:
    return f"{source}: " if source else ""
