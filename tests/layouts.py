"""Tiny copies of published data sets, in their folder layouts, with contents of our own."""

import json
from pathlib import Path

import numpy as np
from scipy.io import savemat

from tests.image_files import picture, save, write_csv

TRAIN, VAL = 24, 4


def _write_lists(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True)
    (folder / "train.txt").write_text("\n".join(names[:TRAIN]) + "\n")
    (folder / "val.txt").write_text("\n".join(names[TRAIN:]) + "\n")


def _normals(rng: np.random.Generator) -> np.ndarray:
    vectors = rng.normal([0, 0, 3], 1, (24, 32, 3))
    return vectors / np.linalg.norm(vectors, axis=2, keepdims=True)


def nyud(folder: Path) -> Path:
    names = [f"{number:04}" for number in range(TRAIN + VAL)]
    _write_lists(folder / "gt_sets", names)
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        save(folder / "images" / f"{name}.jpg", picture(number))
        classes = rng.integers(0, 41, (24, 32), dtype=np.uint8)
        save(folder / "segmentation" / f"{name}.png", classes)
        depth = rng.uniform(1, 9, (24, 32)).astype(np.float32)
        depth[0] = 0
        save(folder / "depth" / f"{name}.npy", depth)
        save(folder / "normals" / f"{name}.npy", _normals(rng).astype(np.float32))
        edges = rng.integers(0, 2, (24, 32)).astype(np.float32)
        save(folder / "edge" / f"{name}.npy", edges)
    return folder


def pascal_context(folder: Path) -> Path:
    names = [f"2008_{number:06}" for number in range(TRAIN + VAL)]
    _write_lists(folder / "ImageSets" / "Context", names)
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        save(folder / "JPEGImages" / f"{name}.jpg", picture(number))
        classes = rng.integers(0, 21, (24, 32), dtype=np.uint8)
        classes[0] = 255
        save(folder / "semseg" / "pascal-context" / f"{name}.png", classes)
        normals = ((_normals(rng) + 1) * 127.5).round().astype(np.uint8)
        save(folder / "normals_distill" / f"{name}.png", normals)
        saliency = rng.integers(0, 256, (24, 32), dtype=np.uint8)
        save(folder / "sal_distill" / f"{name}.png", saliency)
        maps = folder / "pascal-context" / "trainval"
        maps.mkdir(parents=True, exist_ok=True)
        savemat(maps / f"{name}.mat", {"LabelMap": np.repeat([[1] * 16 + [2] * 16], 24, axis=0)})
        if number % 2:
            _write_parts(folder / "human_parts" / f"{name}.mat")
    return folder


def _write_parts(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    upper, lower = np.zeros((2, 24, 32), np.uint8)
    upper[:12, :8], lower[12:, :8] = 1, 1
    parts = [{"part_name": "lear", "mask": upper}, {"part_name": "rfoot", "mask": lower}]
    horse = [{"part_name": "lear", "mask": 1 - upper}]
    objects = [
        {"class": "person", "mask": upper + lower, "parts": parts},
        {"class": "horse", "mask": 1 - upper, "parts": horse},
    ]
    savemat(path, {"anno": {"imname": path.stem, "objects": objects}})


def cityscapes(folder: Path) -> Path:
    camera = {"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 2000.0}}
    for number in range(TRAIN + VAL):
        rng = np.random.default_rng(number)
        part, city = ("train", "aachen") if number < TRAIN else ("val", "munster")
        stem = f"{part}/{city}/{city}_000000_{number:06}"
        save(folder / f"leftImg8bit/{stem}_leftImg8bit.png", picture(number))
        classes = rng.integers(0, 34, (24, 32), dtype=np.uint8)
        save(folder / f"gtFine/{stem}_gtFine_labelIds.png", classes)
        disparity = rng.integers(2, 2**15, (24, 32)).astype(np.uint16)
        disparity[0] = 0
        save(folder / f"disparity/{stem}_disparity.png", disparity)
        told = folder / f"camera/{stem}_camera.json"
        told.parent.mkdir(parents=True, exist_ok=True)
        told.write_text(json.dumps(camera))
    return folder


def taskonomy(folder: Path) -> Path:
    buildings = {"allensville": "train", "beechwood": "val", "corozal": "test", "away": "train"}
    rows = [
        {"id": building, **{name: int(name == part) for name in ("train", "val", "test")}}
        for building, part in buildings.items()
    ]
    (folder / "splits_taskonomy").mkdir(parents=True)
    write_csv(folder / "splits_taskonomy" / "train_val_test_tiny.csv", rows)
    for start, (building, part) in enumerate(list(buildings.items())[:3]):
        for point in range(TRAIN if part == "train" else VAL):
            rng = np.random.default_rng([start, point])
            stem = f"{building}/point_{point}_view_1_domain"
            save(folder / "rgb" / f"{stem}_rgb.png", picture(1000 * start + point))
            depth = rng.integers(512, 5120, (24, 32)).astype(np.uint16)
            depth[0] = 65535
            save(folder / "depth_zbuffer" / f"{stem}_depth_zbuffer.png", depth)
            normals = (_normals(rng) * 127 + 127).round().astype(np.uint8)
            save(folder / "normal" / f"{stem}_normal.png", normals)
            classes = rng.integers(0, 18, (24, 32), dtype=np.uint8)
            save(folder / "segment_semantic" / f"{stem}_segmentsemantic.png", classes)
            edges = rng.integers(0, 2**16, (24, 32)).astype(np.uint16)
            save(folder / "edge_occlusion" / f"{stem}_edge_occlusion.png", edges)
    return folder


def celeba(folder: Path) -> Path:
    names = [f"{number:06}.jpg" for number in range(1, TRAIN + 2 * VAL + 1)]
    attributes, marks = ["Male", "Smiling", "Young"], "lefteye righteye nose leftmouth rightmouth"
    columns = [f"{mark}_{axis}" for mark in marks.split() for axis in "xy"]
    parts, lines, points = [], [], []
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        save(folder / "Img" / "img_align_celeba" / name, picture(number, 32, 24))
        part = 0 if number < TRAIN else 1 if number < TRAIN + VAL else 2
        parts.append(f"{name} {part}")
        lines.append(f"{name}  " + "  ".join(str(sign) for sign in rng.choice([-1, 1], 3)))
        points.append(f"{name} " + " ".join(str(at) for at in rng.integers(4, 20, 10)))
    (folder / "Eval").mkdir()
    (folder / "Anno").mkdir()
    (folder / "Eval" / "list_eval_partition.txt").write_text("\n".join(parts))
    head = [str(len(names)), " ".join(attributes)]
    (folder / "Anno" / "list_attr_celeba.txt").write_text("\n".join(head + lines))
    head = [str(len(names)), " ".join(columns)]
    (folder / "Anno" / "list_landmarks_align_celeba.txt").write_text("\n".join(head + points))
    return folder


#: The writer of each layout, by the data set's name in the catalog.
WRITERS = {
    "celeba": celeba,
    "cityscapes": cityscapes,
    "nyud": nyud,
    "pascal_context": pascal_context,
    "taskonomy": taskonomy,
}
