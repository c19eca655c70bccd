"""Names in specs to code. The only place where a name becomes an object.

A name that ends with a colon stands for a family: ``timm:`` for ``timm:resnet18`` and every other
model of timm. What stands behind the colon is the family's first argument.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from importlib.metadata import entry_points
from pkgutil import resolve_name
from typing import Any

BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "dataset": {
        "celeba": "branchsearch.datasets.celeba:celeba",
        "cityscapes": "branchsearch.datasets.cityscapes:cityscapes",
        "digits": "branchsearch.datasets.digits:Digits",
        "manifest": "branchsearch.datasets.manifest:manifest",
        "nyud": "branchsearch.datasets.nyud:nyud",
        "pascal_context": "branchsearch.datasets.pascal_context:pascal_context",
        "scenes": "branchsearch.datasets.scenes:Scenes",
        "taskonomy": "branchsearch.datasets.taskonomy:taskonomy",
    },
    "backbone": {
        "fx:": "branchsearch.backbones.fx_module:fx_module",
        "resnet": "branchsearch.backbones.resnet:resnet",
        "resnet10": "branchsearch.backbones.residual:resnet10",
        "resnet18": "branchsearch.backbones.residual:resnet18",
        "resnet34": "branchsearch.backbones.residual:resnet34",
        "resnet50": "branchsearch.backbones.residual:resnet50",
        "timm:": "branchsearch.backbones.timm_models:timm_model",
        "vgg": "branchsearch.backbones.vgg:vgg",
    },
    "head": {
        "aspp": "branchsearch.model.heads:ASPPHead",
        "dense": "branchsearch.model.heads:DenseHead",
        "fpn": "branchsearch.model.heads:FPNHead",
        "linear": "branchsearch.model.heads:LinearHead",
    },
    "loss": {
        "absolute_error": "branchsearch.train.losses:absolute_error",
        "balanced_binary": "branchsearch.train.losses:balanced_binary",
        "binary": "branchsearch.train.losses:binary",
        "cosine_distance": "branchsearch.train.losses:cosine_distance",
        "cross_entropy": "branchsearch.train.losses:cross_entropy",
        "squared_error": "branchsearch.train.losses:squared_error",
    },
    "metric": {
        "accuracy": "branchsearch.train.metrics.classes:accuracy",
        "angular_error": "branchsearch.train.metrics.angles:angular_error",
        "average_precision": "branchsearch.train.metrics.ranking:average_precision",
        "balanced_accuracy": "branchsearch.train.metrics.classes:balanced_accuracy",
        "edge_f": "branchsearch.train.metrics.edges:edge_f",
        "keypoint_error": "branchsearch.train.metrics.keypoints:keypoint_error",
        "log_rmse": "branchsearch.train.metrics.numbers:log_rmse",
        "mean_absolute_error": "branchsearch.train.metrics.numbers:mean_absolute_error",
        "mean_average_precision": "branchsearch.train.metrics.classes:mean_average_precision",
        "mean_f1": "branchsearch.train.metrics.classes:mean_f1",
        "mean_iou": "branchsearch.train.metrics.classes:mean_iou",
        "median_angular_error": "branchsearch.train.metrics.angles:median_angular_error",
        "pck": "branchsearch.train.metrics.keypoints:pck",
        "pixel_accuracy": "branchsearch.train.metrics.classes:pixel_accuracy",
        "rmse": "branchsearch.train.metrics.numbers:rmse",
        "saliency_f": "branchsearch.train.metrics.saliency:saliency_f",
        "saliency_iou": "branchsearch.train.metrics.saliency:saliency_iou",
        "within_11_degrees": "branchsearch.train.metrics.angles:within_11_degrees",
    },
    "balancing": {
        "aligned_mtl": "branchsearch.train.balancing.aggregators:aligned_mtl",
        "config": "branchsearch.train.balancing.aggregators:config",
        "dualproj": "branchsearch.train.balancing.aggregators:dualproj",
        "dwa": "branchsearch.train.balancing.dwa:dwa",
        "equal_start": "branchsearch.train.balancing.equal_start:equal_start",
        "fixed": "branchsearch.train.balancing.fixed:fixed",
        "gls": "branchsearch.train.balancing.gls:gls",
        "graddrop": "branchsearch.train.balancing.aggregators:graddrop",
        "gradnorm": "branchsearch.train.balancing.gradnorm:gradnorm",
        "imtl_g": "branchsearch.train.balancing.aggregators:imtl_g",
        "imtl_l": "branchsearch.train.balancing.scalarizers:imtl_l",
        "mgda": "branchsearch.train.balancing.aggregators:mgda",
        "pcgrad": "branchsearch.train.balancing.aggregators:pcgrad",
        "rlw": "branchsearch.train.balancing.rlw:rlw",
        "stch": "branchsearch.train.balancing.scalarizers:stch",
        "uncertainty": "branchsearch.train.balancing.uncertainty:uncertainty",
        "upgrad": "branchsearch.train.balancing.aggregators:upgrad",
    },
    "affinity": {
        "cka": "branchsearch.affinity.cka:CKA",
        "cka_debiased": "branchsearch.affinity.cka:CKA_DEBIASED",
        "gradient_cosine": "branchsearch.affinity.gradients:GRADIENT_COSINE",
        "rsa": "branchsearch.affinity.rsa:RSA",
        "rsa_euclidean": "branchsearch.affinity.rsa:RSA_EUCLIDEAN",
        "rsa_kendall": "branchsearch.affinity.kendall:RSA_KENDALL",
        "rsa_pearson": "branchsearch.affinity.rsa:RSA_PEARSON",
        "tag": "branchsearch.affinity.tag:TAG",
        "two_task": "branchsearch.affinity.two_task:TWO_TASK",
    },
    "sampler": {
        "evolution": "branchsearch.search.samplers.evolution:evolution",
        "exhaustive": "branchsearch.search.samplers.exhaustive:exhaustive",
        "nsga2": "branchsearch.search.samplers.stock:nsga2",
        "optuna:": "branchsearch.search.samplers.stock:optuna_sampler",
        "optunahub:": "branchsearch.search.samplers.hub:optunahub_sampler",
        "random": "branchsearch.search.samplers.stock:random",
        "random_tree": "branchsearch.search.samplers.random_tree:random_tree",
        "ranked": "branchsearch.search.samplers.ranked:ranked_by_affinity",
        "tpe": "branchsearch.search.samplers.stock:tpe",
        "tree_gp": "branchsearch.search.samplers.tree_gp.sampler:tree_gp",
    },
    "scheduler": {
        "halving": "branchsearch.search.early_stopping:halving",
        "learning_curve": "branchsearch.search.learning_curve:learning_curve",
        "none": "branchsearch.search.early_stopping:never",
    },
}

#: Families whose names say what code to import; never taken from anybody but the machine's user.
LOCAL: Mapping[str, frozenset[str]] = {
    "backbone": frozenset({"fx:"}),
    "sampler": frozenset({"optunahub:"}),
}


class UnknownName(ValueError):
    """Nothing of that kind goes by that name."""


def names(kind: str) -> list[str]:
    """Every name and family of a kind, built in or from an installed package."""
    return sorted(BUILT_IN[kind].keys() | entry_points(group=f"branchsearch.{kind}").names)


def check(kind: str, name: str) -> None:
    """Refuse a name that nothing goes by, without importing anything.

    Whether a family knows what stands behind the colon shows only when it is made.

    Raises:
        UnknownName: With the names there are.
    """
    there_are, (known, behind) = names(kind), _parted(name)
    if known not in there_are:
        close = get_close_matches(known, there_are, n=1)
        meant = f"; did you mean {close[0] + behind!r}?" if close else ""
        raise UnknownName(f"no {kind} {name!r}; there are {', '.join(there_are)}{meant}")
    if known.endswith(":") and not behind:
        raise UnknownName(f"{kind} {name!r} needs a name behind the colon")


def find(kind: str, name: str) -> Callable[..., Any]:
    """Look a name up among the built-in ones and the installed packages' entry points.

    A package adds its own under ``[project.entry-points."branchsearch.<kind>"]``. Only the one that
    is asked for is imported.

    Raises:
        UnknownName: With the names there are.
    """
    check(kind, name)
    known, behind = _parted(name)
    if known in BUILT_IN[kind]:
        found: Callable[..., Any] = resolve_name(BUILT_IN[kind][known])
    else:
        (entry,) = entry_points(group=f"branchsearch.{kind}", name=known)
        found = entry.load()
    return partial(found, behind) if behind else found


def is_local(kind: str, name: str) -> bool:
    """Whether a name says what code to import, so that no request from elsewhere may hold it."""
    return _parted(name)[0] in LOCAL.get(kind, ())


def _parted(name: str) -> tuple[str, str]:
    """The name that the catalog has, and what stands behind its colon if it is a family."""
    family, colon, behind = name.partition(":")
    return family + colon, behind
