"""Whether an exported folder still is what it was, and still does what it did."""

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import safetensors.torch

from branchsearch.export.checksums import SUMS, Damaged, check_sums
from branchsearch.export.description import promised, read_description
from branchsearch.export.folder import FILES
from branchsearch.export.proof import prove


def verify(folder: Path) -> dict[str, Any]:
    """Compare every file with its checksum, then repeat the proof; the folder is only read.

    What is compared with are predictions that the searched network gave when it was exported. The
    proof runs the code in the folder, as whoever uses it does, in a process of its own.

    Returns:
        ``files``: the names of those checked; ``proof``: what was measured, see ``proof.json``;
        ``left_out``: files that nothing here can run.

    Raises:
        Damaged: A file is not as it was written.
        NotAnExport: There is no exported network.
        ProofFailed: It does not do here what it did.
    """
    described = read_description(folder)
    files = check_sums(folder)
    lacking = {*FILES, *(graph["file"] for graph in described["graphs"])} - set(files)
    if lacking:
        raise Damaged(f"{folder}: {SUMS} lacks {', '.join(sorted(lacking))}")
    asked = safetensors.torch.load_file(folder / "proof.safetensors")
    held_to, left_out = promised(described), []
    if find_spec("onnxruntime") is None:
        left_out = [g["file"] for g in held_to["graphs"] if g["file"].endswith(".onnx")]
        held_to["graphs"] = [g for g in held_to["graphs"] if g["file"] not in left_out]
    with tempfile.TemporaryDirectory(prefix="branchsearch-verify-") as work:
        proof = prove(folder.absolute(), held_to, asked, work=Path(work))
    return {"files": files, "proof": proof, "left_out": left_out}
