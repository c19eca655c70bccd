"""Makes torchvision importable where its compiled operators do not load, as timm needs it.

torchvision's wheels carry operators compiled for CUDA. Beside a torch for the CPU alone they do not
load, and then not even ``import torchvision`` works, because it describes operators that nobody has
declared. Declared without content they do no harm: no backbone calls them.

This file imports nothing of branchsearch, so that an exported network can be proven with it.
"""

import sys

import torch

#: What torchvision describes when it is imported.
_DESCRIBED = ("nms", "qnms")

#: A declaration lasts as long as its library.
_KEPT: list[torch.library.Library] = []


def declare_missing() -> None:
    """Declare torchvision's operators if, without that, it cannot be imported.

    Does nothing where there is no torchvision.
    """
    try:
        import torchvision  # noqa: F401
    except ModuleNotFoundError:
        return
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    else:
        return
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # half imported
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in _DESCRIBED:
        described = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        library.define(described)  # type: ignore[no-untyped-call]
    _KEPT.append(library)
