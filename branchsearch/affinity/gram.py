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

#: The same for what all features of one image have in common; beyond, double precision is needed.
_OFFSET = 0.99

#: Squares below this, in the mean over an image's features, lose digits in single precision.
_TINY = 1e-30


@dataclass(frozen=True, slots=True)
class Gram:
    """The inner products of K images' features, on the device where the features were.

    Of every feature a number is taken off that is the same for all images: 0, or its mean over the
    images where that is most of it. What a comparison asks for is then a sum of parts that are no
    larger than the differences between images: subtracting large products from each other would
    lose them.

    Attributes:
        products: Shape [K, K], inner products of what is left of the images.
        sums: Shape [K], what is left of an image, summed over its features.
        with_mean: Shape [K], inner product of what is left of an image with what was taken off.
        mean_sum: What was taken off, summed over the features.
        mean_square: The same, squared and summed.
        columns: F, how many features an image has.
        flat: Numbers of the images whose features are all equal.
        source: Whose features they are, for messages; may be empty.
    """

    products: Float[Tensor, "K K"]
    sums: Float[Tensor, " K"]
    with_mean: Float[Tensor, " K"]
    mean_sum: float
    mean_square: float
    columns: int
    flat: tuple[int, ...] = ()
    source: str = ""

    @property
    def images(self) -> int:
        """K, the number of probe images."""
        return len(self.products)


def gram(chunks: Tensor | Iterable[Tensor], *, source: str = "") -> Gram:
    """Take the inner products of features that may be more than memory holds.

    Half and bfloat16 are multiplied in single precision, double in double; sums over pieces are in
    double. From single precision, dissimilarities of 500 images with 10,000 features differ from
    those in double by less than 1e-6, and their ranks correlate to 1 - 1e-7 or better: also after
    a ReLU, where features have a mean of 1000 times their spread, or where images are all nearly
    the same. Where single precision would not do (an image's own mean dwarfs what varies in it, or
    squares overflow or vanish), products are taken in double, at half the speed.

    Args:
        chunks: Features [K, F], or an iterable of column chunks [K, f]; rows are always the same K
            images in the same order.
        source: Whose features, as in ``depth at stage 2``; messages name it.

    Raises:
        ValueError: There are no features; chunks have different numbers of images; or some feature
            is NaN or infinite. The message names the images.
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
        self.centred = False
        # columns first, as BLAS gives them
        self.products = torch.zeros(images, images, dtype=torch.float64, device=device).T
        self.sums = torch.zeros(images, dtype=torch.float64, device=device)
        self.with_mean = torch.zeros(images, dtype=torch.float64, device=device)
        self.mean_sum = self.mean_square = 0.0
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
            raise ValueError(f"{_whose(self.source)}features of images {unclean} are NaN or inf")

    def _added(self, piece: Float[Tensor, "_ f"]) -> bool:
        """Take a piece in, unless its precision does not suffice."""
        double = piece.dtype == torch.float64
        self.centred = self.centred or double
        left, mean = self._left(piece)
        products, sums = _products(left), left.sum(dim=1)
        energy = products.diagonal()
        offset = sums**2 / piece.shape[1]
        if not self.centred and _mostly_common(products, offset):
            self.centred = True
            return self._added(piece)
        if not energy.isfinite().all():
            return False
        if not double and ((offset > _OFFSET * energy).any() or _vanishing(left, energy)):
            return False
        self.dtype = torch.promote_types(self.dtype, piece.dtype)
        self.products += products
        self.sums += sums
        self.columns += piece.shape[1]
        if self.centred:
            self._add_mean(left, sums.double(), mean.double())
        return True

    def _left(
        self, piece: Float[Tensor, "_ f"]
    ) -> tuple[Float[Tensor, "_ f"], Float[Tensor, " _"]]:
        """What is left of a piece, rows one after another in memory, and what was taken off."""
        if not self.centred and piece.is_contiguous():
            return piece, piece.new_zeros(0)
        if self.room.shape != piece.shape or self.room.dtype != piece.dtype:
            self.room = torch.empty_like(piece, memory_format=torch.contiguous_format)
        if not self.centred:
            return self.room.copy_(piece), piece.new_zeros(0)
        mean = piece.mean(dim=0)
        return torch.sub(piece, mean, out=self.room), mean

    def _add_mean(
        self, left: Float[Tensor, "K f"], sums: Float[Tensor, " K"], mean: Float[Tensor, " f"]
    ) -> None:
        # a large constant meets the same sums again when it is subtracted, and cancels exactly
        constant = mean.mean()
        self.with_mean += left @ (mean - constant).to(left.dtype) + constant * sums
        self.mean_sum += float(mean.sum())
        self.mean_square += float(mean @ mean)

    def gram(self) -> Gram:
        """What is to be kept."""
        products = self.products.to(self.dtype).triu()
        products += products.triu(1).T
        return Gram(
            products=products,
            sums=self.sums,
            with_mean=self.with_mean,
            mean_sum=self.mean_sum,
            mean_square=self.mean_square,
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


def _mostly_common(products: Float[Tensor, "K K"], offset: Float[Tensor, " K"]) -> bool:
    """Whether images, or the features of an image, have so much in common that it is to come off.

    Args:
        products: Upper triangle.
        offset: Of its diagonal, what is due to the mean of the image's features.
    """
    energy = products.diagonal()
    images = (2 * products.sum() - energy.sum()) / len(products)
    return bool((images > _COMMON * energy.sum()) | (offset > _COMMON * energy).any())


def _vanishing(rows: Float[Tensor, "K f"], energy: Float[Tensor, " K"]) -> bool:
    """Whether some rows are so small that their squares have lost digits, or are 0."""
    small = energy < _TINY * rows.shape[1]
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
