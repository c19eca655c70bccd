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

#: Columns multiplied at once.
_COLUMNS = {"cpu": 5120, "cuda": 65536}

#: Above this share of an image's energy in one constant, single precision loses what varies.
_OFFSET = 0.99


@dataclass(frozen=True, slots=True)
class Gram:
    """The inner products of K images' features, on the device where the features were.

    Features are taken apart into their mean over the images and the rest. What a comparison asks
    for is then a sum of parts that are as small as the differences between images: subtracting
    large products from each other would lose them.

    Attributes:
        products: Shape [K, K], inner products of the rests: X Xᵀ, its rows and columns centred.
        sums: Shape [K], the rest of an image summed over its features.
        with_mean: Shape [K], inner product of an image's rest with the varying part of the mean.
        mean_sum: The varying part of the mean, summed over the features. The constant part, one
            number, is left out: no measure sees it.
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

    Half and bfloat16 are multiplied in single precision, double in double; sums over chunks are in
    double. From single precision, dissimilarities of 500 images with 10,000 features differ from
    those in double by less than 1e-7, and their ranks correlate to 1 - 1e-7 or better: also where
    features have a mean of 1000 times their spread, or where images are all nearly the same. Where
    single precision would not do (an image's own mean dwarfs what varies in it, or squares
    overflow), products are taken in double, at half the speed.

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
        width = _COLUMNS.get(chunk.device.type, _COLUMNS["cuda"])
        for start in range(0, chunk.shape[1], width):
            yield chunk.detach()[:, start : start + width]


class _Sums:
    """What has passed by so far."""

    def __init__(self, first: Float[Tensor, "K _"], source: str) -> None:
        images, device = len(first), first.device
        self.source = source
        self.dtype = torch.float32
        self.constant = float(first[:, ::16].double().mean())
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
        self.flat = self.flat & _as_first(piece, self.first_column, self.flat)
        single = piece.dtype != torch.float64 and self._added(piece.float())
        if not single and not self._added(piece.double()):
            unclean = (~piece.isfinite()).any(dim=1).nonzero().flatten().tolist()
            raise ValueError(f"{_whose(self.source)}features of images {unclean} are NaN or inf")

    def _added(self, piece: Float[Tensor, "_ f"]) -> bool:
        """Take a piece in, unless its precision does not suffice."""
        mean = piece.mean(dim=0)
        rest = self._rest(piece, mean)
        sums, products = rest.sum(dim=1), _products(rest)
        energy = products.diagonal()
        if not energy.isfinite().all():
            return False
        offset = sums**2 > _OFFSET * rest.shape[1] * energy
        if piece.dtype != torch.float64 and offset.any():
            return False
        varying = mean - self.constant
        self.dtype = torch.promote_types(self.dtype, piece.dtype)
        self.products += products
        self.sums += sums
        self.with_mean += rest @ varying
        self.mean_sum += float(varying.sum())
        self.mean_square += float(varying @ varying)
        self.columns += piece.shape[1]
        return True

    def _rest(self, piece: Float[Tensor, "_ f"], mean: Float[Tensor, " f"]) -> Float[Tensor, "_ f"]:
        """Piece less mean, always in the same memory, which stays in the cache."""
        if self.room.shape != piece.shape or self.room.dtype != piece.dtype:
            self.room = torch.empty_like(piece, memory_format=torch.contiguous_format)
        return torch.sub(piece, mean, out=self.room)

    def gram(self) -> Gram:
        """What is to be kept."""
        return Gram(
            products=(self.products.triu() + self.products.triu(1).T).to(self.dtype),
            sums=self.sums,
            with_mean=self.with_mean,
            mean_sum=self.mean_sum,
            mean_square=self.mean_square,
            columns=self.columns,
            flat=tuple(self.flat.nonzero().flatten().tolist()),
            source=self.source,
        )


def _products(rest: Float[Tensor, "K f"]) -> Float[Tensor, "K K"]:
    """Rest times its transpose, of which the upper triangle counts.

    On a CPU by the BLAS routine that takes only that half.
    """
    if rest.device.type != "cpu":
        return rest @ rest.T
    multiply = dsyrk if rest.dtype == torch.float64 else ssyrk
    return torch.from_numpy(multiply(1.0, rest.numpy().T, trans=1))


def _as_first(
    piece: Float[Tensor, "K f"], first: Float[Tensor, "K 1"], among: Bool[Tensor, " K"]
) -> Bool[Tensor, " K"]:
    """Which of some images have their first feature everywhere in a piece."""
    # a few columns first: they rule out nearly all images for little
    among = among & (piece[:, :: max(1, piece.shape[1] // 8)] == first).all(dim=1)
    asked = among.nonzero().flatten()
    among[asked] = (piece[asked] == first[asked]).all(dim=1)
    return among


def _whose(source: str) -> str:
    return f"{source}: " if source else ""
