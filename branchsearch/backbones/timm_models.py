"""Models of timm as backbones, cut where one tensor is all that goes from part to part.

The whole is the model's ``forward_features``: everything up to the pooling and the classifier. By
default a stage ends where timm's feature hierarchy does, at 1/4, 1/8, 1/16 and 1/32 of the image's
resolution; where the resolution is the same all along, as in a vision transformer, after each
quarter of the blocks.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from difflib import get_close_matches
from importlib.metadata import version
from itertools import chain, pairwise
from typing import Any

import torch
from torch import nn

from branchsearch.backbones.backbone import Backbone, Stage
from branchsearch.backbones.chain import Call, NotCuttable, calls, every, row
from branchsearch.backbones.form import Form
from branchsearch.backbones.operators import declare_missing
from branchsearch.backbones.weights import check_names, content_of, read_weights

#: Arguments of ``timm.create_model`` that a spec may not give: it has its own words for weights,
#: the image has 3 channels, there is neither pooling nor classifier, and tokens become a map of one
#: size.
_NOT_GIVEN = frozenset(
    {
        "cache_dir",
        "checkpoint_path",
        "dynamic_img_pad",
        "dynamic_img_size",
        "features_only",
        "global_pool",
        "in_chans",
        "num_classes",
        "out_indices",
        "pretrained",
        "pretrained_cfg",
        "pretrained_cfg_overlay",
    }
)

#: Of a stage's output; a stem that does less belongs to the stage behind it.
_LEAST_STRIDE = 4

#: Families that cannot be cut anywhere: each of their blocks takes positions or masks of its own
#: beside the features, or there are several features at once.
_NO_ROW = ("beit", "beitv2", "dinov3", "eva02", "hrnet")

#: Where a model says of no size what it takes, pixels: a size that many strides divide.
_SIZE = (256, 256)


def timm_model(
    model: str,
    /,
    *,
    cuts: Sequence[str] | None = None,
    weights: str | None = None,
    pretrained: bool = False,
    arguments: Mapping[str, Any] | None = None,
) -> Backbone:
    """Any model of timm whose features come of modules in a row.

    Args:
        model: Name in timm, such as ``resnet18`` or ``convnext_tiny.fb_in1k``.
        cuts: Names of modules, in order; a stage ends behind each, and one more at the end.
        weights: A file of timm's weights of it.
        pretrained: Whether timm fetches the weights, which needs a network.
        arguments: What else timm makes it with, such as ``{"img_size": 64}`` for a transformer
            that takes images of one size alone.

    Raises:
        ValueError: timm is not installed or knows no such model; an argument that it does not take;
            weights that do not fit; or a cut where more than one tensor goes across, which the
            message names.
    """
    given = dict(arguments or {})
    if taken := sorted(_NOT_GIVEN & given.keys()):
        raise ValueError(f"arguments of timm:{model} may not hold {', '.join(taken)}")
    if weights is not None and pretrained:
        raise ValueError("weights come from a file or from timm, not from both")
    made_with = {**given, "num_classes": 0}
    whole = _created(model, made_with, weights, pretrained)
    content = f"timm {version('timm')} {content_of(weights)}".strip()
    return replace(_cut(model, made_with, whole, cuts), content=content)


def _created(
    model: str, arguments: Mapping[str, Any], weights: str | None, pretrained: bool
) -> nn.Module:
    declare_missing()
    try:
        import timm
    except ModuleNotFoundError as error:
        raise ValueError(
            f"timm:{model} needs timm, which is not installed; "
            "python -m pip install 'branchsearch[timm]' does that"
        ) from error
    if not timm.is_model(model):
        close = get_close_matches(model, timm.list_models(), n=3)
        meant = f"; close to it: {', '.join(close)}" if close else ""
        raise ValueError(f"timm {timm.__version__} has no model {model!r}{meant}")
    fetched: dict[str, Any] = {"pretrained": pretrained}
    if weights is not None:
        read = read_weights(weights)
        if not read:  # timm would look for others
            raise ValueError(f"{weights} holds no weights by name")
        fetched = {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": read}}
    source = weights or "what timm fetched"
    try:
        with _loading() as loaded:
            created: nn.Module = timm.create_model(model, **arguments, **fetched)
    except TypeError as error:
        raise ValueError(f"timm does not make {model} with {dict(arguments)}: {error}") from error
    except (OSError, RuntimeError, KeyError) as error:
        if weights is None and not pretrained:
            raise
        raise ValueError(f"{source} gives no weights of timm:{model}: {error}") from error
    if weights is not None:
        lacks, strange = loaded[-1] if loaded else ([], sorted(read))
        check_names(created.state_dict(), lacks, strange, source=weights)
    return created


@contextmanager
def _loading() -> Iterator[list[Any]]:
    """Note which names lack and which are strange whenever weights are loaded.

    timm turns a file's names into the model's, and says nothing of those that do not fit where it
    is asked for a model without a classifier.
    """
    load, noted = nn.Module.load_state_dict, []

    def loading(self: nn.Module, *given: Any, **more: Any) -> Any:  # noqa: ANN401  # as torch's
        noted.append(load(self, *given, **more))
        return noted[-1]

    nn.Module.load_state_dict = loading  # type: ignore[method-assign]
    try:
        yield noted
    finally:
        nn.Module.load_state_dict = load  # type: ignore[method-assign]


def _cut(
    model: str, arguments: Mapping[str, Any], whole: nn.Module, cuts: Sequence[str] | None
) -> Backbone:
    # the stage classes import timm at their top, as the file that they are exported to does
    from branchsearch.backbones.timm_stages import TimmFirstStage, TimmStage

    size = _image_size(whole, arguments)
    outer = _calls_of(whole, size)
    ends = _default_cuts(whole, outer) if cuts is None else list(cuts)
    parts = row(outer, ends)
    places = [*_places(parts, ends, model), len(parts)]
    shapes = [parts[place - 1].given.shape for place in places[:-1]] + [outer.given.shape]
    forms = [Form.of(shape, whole, size, last=shape is shapes[-1]) for shape in shapes]
    behind = [[part.name for part in parts[a:b]] for a, b in pairwise(places)]
    # these first: they take their modules out of the whole before the first stage drops them
    later = [
        TimmStage(model, arguments, names, form.layout, form.grid, whole)
        for names, form in zip(behind, forms[1:], strict=True)
    ]
    without = [*chain.from_iterable(behind), *_unused(whole, outer)]
    first = TimmFirstStage(model, arguments, without, forms[0].layout, forms[0].grid, whole)
    return Backbone(
        tuple(
            Stage(module, form.channels, form.stride, form.kind)
            for module, form in zip([first, *later], forms, strict=True)
        )
    )


def _image_size(whole: nn.Module, arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Of the images that a model takes, in pixels; one that strides divide, if it takes any."""
    patches = getattr(whole, "patch_embed", None)
    size: Any = arguments.get("img_size") or getattr(patches, "img_size", None)
    about: Mapping[str, Any] = getattr(whole, "pretrained_cfg", {})
    if not size and about.get("fixed_input_size"):
        size = about["input_size"][1:]
    if isinstance(size, int):
        size = (size, size)
    size = size or _SIZE
    return int(size[0]), int(size[1])


def _calls_of(whole: nn.Module, size: tuple[int, int]) -> Call:
    ghost: Any = deepcopy(whole).to("meta").eval()
    try:
        return calls(ghost, ghost.forward_features, torch.empty(1, 3, *size, device="meta"))
    except (AssertionError, RuntimeError) as error:
        raise NotCuttable(f"it does not take {size[0]}x{size[1]} images: {error}") from error


def _default_cuts(whole: nn.Module, outer: Call) -> list[str]:
    """The ends of timm's feature hierarchy but for the last, one for each resolution."""
    features = [dict(feature) for feature in getattr(whole, "feature_info", ())]
    there_are = {call.name for call in every(outer)}
    ends = [f for f in features if f["module"] in there_are and f["reduction"] >= _LEAST_STRIDE]
    by_stride = {feature["reduction"]: feature["module"] for feature in ends}
    if len(by_stride) > 1:
        return list(by_stride.values())[:-1]
    if not ends:
        raise NotCuttable(
            "timm says of no module that is called here that a resolution ends with it; "
            f"say where by cuts: {', '.join(call.name for call in outer.inner)}"
        )
    quarters = [round(len(ends) * quarter / 4) for quarter in (1, 2, 3)]
    return list(dict.fromkeys(ends[quarter - 1]["module"] for quarter in quarters if quarter))


def _places(parts: Sequence[Call], cuts: Sequence[str], model: str) -> list[int]:
    """How many parts stand before each cut."""
    names = [part.name for part in parts]
    if len(set(names)) < len(names):
        raise NotCuttable(f"timm:{model} runs one of {names} twice, so no stage can hold it")
    if cuts and len(names) < 2:
        raise NotCuttable(
            f"timm:{model} cannot be cut behind {cuts[0]!r} or anywhere else: more than one tensor "
            f"goes across between any two of its modules, as in {', '.join(_NO_ROW)}"
        )
    for cut in cuts:
        if cut not in names[:-1]:
            raise NotCuttable(
                f"timm:{model} cannot be cut behind {cut!r}, where more than one tensor goes "
                f"across or there is no module; it can be behind {', '.join(names[:-1])}"
            )
    places = [names.index(cut) + 1 for cut in cuts]
    if places != sorted(set(places)):
        raise NotCuttable(f"cuts of timm:{model} are not in the model's order: {list(cuts)}")
    return places


def _unused(whole: nn.Module, outer: Call) -> list[str]:
    """The model's own parts that its features do not come from, as pooling and classifier."""
    called = {call.name for call in every(outer)}
    return [
        name
        for name, _ in whole.named_children()
        if not any(one == name or one.startswith(f"{name}.") for one in called)
    ]
