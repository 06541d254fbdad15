"""Write glyph scenes in the layouts of the segmentation data sets."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from mmdavpt.datasets.glyphs.dataset import (
    SCENE_CHARS,
    check_integers,
    faces_from,
    scene_size,
)
from mmdavpt.datasets.glyphs.rendering import render_scene
from mmdavpt.datasets.glyphs.styles import GlyphStyle, style_from

from .split_folder import (
    SplitFolder,
    check_img_suffix,
    save_pixels,
    style_settings,
    write_split,
)

#: The splits of ADE20K and the faces that their scenes are drawn with.
ADE20K_FACES = {'training': 'latin_train', 'validation': 'latin_test'}
#: The same of PASCAL Context.
PASCAL_CONTEXT_FACES = {'train': 'latin_train', 'val': 'latin_test'}
#: The file that says what the scenes of a folder were drawn with.
SETTINGS_FILE = 'glyph_scenes.json'

#: What becomes of the labels 0 (nothing), 1 (paper), 2, 3, ... of a scene.
#: ADE20K has the same convention; in PASCAL Context the paper is the
#: background, class 0, and nothing is 255, which is ignored.
ADE20K_LABELS = np.arange(256, dtype=np.uint8)
PASCAL_CONTEXT_LABELS = np.arange(-1, 255).astype(np.uint8)


def write_scenes_ade20k(
    out_dir: str,
    split: str,
    num_images: int,
    seed: int = 0,
    faces: str | Sequence[str] | None = None,
    size: tuple[int, int] = (96, 96),
    style: str | dict = 'clean',
    img_suffix: str = '.jpg',
    num_workers: int = 0,
) -> int:
    """Write one split of glyph scenes in the layout of ADE20K.

    Scene ``i`` becomes ``images/{split}/scene_{i:06d}.jpg`` and
    ``annotations/{split}/scene_{i:06d}.png``, where 0 is nothing, 1 the paper
    and 2 and more the characters; it is what :class:`.GlyphSceneDataset` draws
    with the same arguments. Scenes that are there already are kept, so that a
    stopped run goes on where it was.

    Args:
        out_dir (str): The folder; it is made if need be.
        split (str): 'training' or 'validation'.
        num_images (int): The number of scenes.
        seed (int): Seed of the scenes. Defaults to 0.
        faces (str | Sequence[str], optional): See
            :class:`.GlyphSceneDataset`. Defaults to None: those of
            ``ADE20K_FACES``, which are disjoint.
        size (tuple[int, int]): Height and width in pixels.
            Defaults to (96, 96).
        style (str | dict): See :func:`.style_from`. Defaults to 'clean'.
        img_suffix (str): '.jpg' (quality 95), which the stock reader expects,
            or '.png' (lossless). Defaults to '.jpg'.
        num_workers (int): Processes that draw; 0 draws in this one.
            Defaults to 0.

    Returns:
        int: The number of scenes drawn now.

    Raises:
        ValueError: If an argument is out of its range, or the folder holds
            something else.
    """
    _check_split(split, ADE20K_FACES)
    target = SplitFolder(
        str(out_dir),
        split,
        ((f'images/{split}', img_suffix), (f'annotations/{split}', '.png')),
        SETTINGS_FILE,
        stem='scene_{:06d}',
    )
    return _write_scenes(
        target,
        ADE20K_LABELS,
        num_images,
        seed,
        faces or ADE20K_FACES[split],
        size,
        style,
        num_workers,
    )


def write_scenes_pascal_context(
    out_dir: str,
    split: str,
    num_images: int,
    seed: int = 0,
    faces: str | Sequence[str] | None = None,
    size: tuple[int, int] = (96, 96),
    style: str | dict = 'clean',
    img_suffix: str = '.jpg',
    num_workers: int = 0,
) -> int:
    """Write one split of glyph scenes in the layout of PASCAL Context.

    Scene ``i`` becomes ``JPEGImages/{split}_{i:06d}.jpg`` and
    ``SegmentationClassContext/{split}_{i:06d}.png``, where 0 is the paper (the
    background), 1 to 26 of the 59 further classes are 'A' to 'Z', and 255,
    the half-inked rim of a glyph, is ignored. The list of the split is
    ``ImageSets/SegmentationContext/{split}.txt``.

    Args:
        out_dir (str): The folder, ``VOC2010``; it is made if need be.
        split (str): 'train' or 'val'.
        num_images (int): The number of scenes.
        seed (int): Seed of the scenes. Defaults to 0.
        faces (str | Sequence[str], optional): See
            :class:`.GlyphSceneDataset`. Defaults to None: those of
            ``PASCAL_CONTEXT_FACES``, which are disjoint.
        size (tuple[int, int]): Height and width in pixels.
            Defaults to (96, 96).
        style (str | dict): See :func:`.style_from`. Defaults to 'clean'.
        img_suffix (str): '.jpg' (quality 95), which the stock reader expects,
            or '.png' (lossless). Defaults to '.jpg'.
        num_workers (int): Processes that draw; 0 draws in this one.
            Defaults to 0.

    Returns:
        int: The number of scenes drawn now.

    Raises:
        ValueError: If an argument is out of its range, or the folder holds
            something else.
    """
    _check_split(split, PASCAL_CONTEXT_FACES)
    target = SplitFolder(
        str(out_dir),
        split,
        (('JPEGImages', img_suffix), ('SegmentationClassContext', '.png')),
        SETTINGS_FILE,
        stem=split + '_{:06d}',
        list_file=f'ImageSets/SegmentationContext/{split}.txt',
        neighbours=tuple(f'{s}_' for s in PASCAL_CONTEXT_FACES if s != split),
    )
    return _write_scenes(
        target,
        PASCAL_CONTEXT_LABELS,
        num_images,
        seed,
        faces or PASCAL_CONTEXT_FACES[split],
        size,
        style,
        num_workers,
    )


def _check_split(split: str, faces: dict) -> None:
    if split not in faces:
        raise ValueError(
            f'split should be one of {sorted(faces)}, but got {split!r}'
        )


def _write_scenes(
    target: SplitFolder,
    labels: np.ndarray,
    num_images: int,
    seed: int,
    faces: str | Sequence[str],
    size: tuple[int, int],
    style: str | dict,
    num_workers: int,
) -> int:
    img_suffix = target.kinds[0][1]
    check_img_suffix(img_suffix)
    check_integers(0, seed=seed, num_workers=num_workers)
    check_integers(1, num_images=num_images)
    faces = faces_from(faces, SCENE_CHARS)
    size, style = scene_size(size), style_from(style)
    return write_split(
        target,
        num_images,
        dict(
            seed=int(seed),
            faces=list(faces),
            size=list(size),
            style=style_settings(style),
            img_suffix=img_suffix,
        ),
        partial(_write_scene, target, labels, faces, seed, size, style),
        num_workers,
        [target.stem.format(index) for index in range(num_images)],
    )


def _write_scene(
    target: SplitFolder,
    labels: np.ndarray,
    faces: Sequence[str],
    seed: int,
    size: tuple[int, int],
    style: GlyphStyle,
    index: int,
) -> None:
    """Draw scene ``index`` and write its annotation, then its image."""
    image, annotation = render_scene(
        SCENE_CHARS, faces, (seed, index), size, style
    )
    save_pixels(target.path(1, index), labels[annotation])
    save_pixels(target.path(0, index), image)
