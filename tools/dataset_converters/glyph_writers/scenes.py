"""Write glyph scenes in the layouts of ADE20K and PASCAL Context."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mmdavpt.datasets.glyphs.alphabets import faces_from
from mmdavpt.datasets.glyphs.dataset import SCENE_CHARS
from mmdavpt.datasets.glyphs.rendering import render_scene
from mmdavpt.datasets.glyphs.styles import GlyphStyle, style_from

from .arguments import check_integers, scene_size
from .split_folder import (
    SplitFolder,
    check_img_suffix,
    save_pixels,
    style_settings,
    write_split,
)

#: Font faces of the training and test scenes of each layout; they share none.
ADE20K_FACES = {'training': 'latin_train', 'validation': 'latin_test'}
PASCAL_CONTEXT_FACES = {'train': 'latin_train', 'val': 'latin_test'}
#: The file that records how the scenes of a folder were drawn.
SETTINGS_FILE = 'glyph_scenes.json'

#: New values of the labels 0 (nothing), 1 (paper), 2, 3, ... of a scene.
#: ADE20K has the same convention. In PASCAL Context the paper is the
#: background, class 0, and nothing is 255, which is ignored.
ADE20K_LABELS = np.arange(256, dtype=np.uint8)
PASCAL_CONTEXT_LABELS = np.arange(-1, 255).astype(np.uint8)


@dataclass(frozen=True)
class SceneOptions:
    """Options for drawing and writing scenes.

    Attributes:
        seed (int): Seed of the scenes. Defaults to 0.
        faces (str | Sequence[str], optional): See
            :class:`.GlyphSceneDataset`. Defaults to None: those of the split.
        size (tuple[int, int]): Height and width in pixels.
            Defaults to (96, 96).
        style (str | dict): See :func:`.style_from`. Defaults to 'clean'.
        img_suffix (str): '.jpg' (quality 95), which MMSegmentation's readers
            expect, or '.png' (lossless). Defaults to '.jpg'.
        num_workers (int): Number of processes; 0 uses this process.
            Defaults to 0.

    Raises:
        ValueError: If a value is out of range.
    """

    seed: int = 0
    faces: str | Sequence[str] | None = None
    size: tuple[int, int] = (96, 96)
    style: str | dict = 'clean'
    img_suffix: str = '.jpg'
    num_workers: int = 0

    def __post_init__(self) -> None:
        check_img_suffix(self.img_suffix)
        check_integers(0, seed=self.seed, num_workers=self.num_workers)
        scene_size(self.size)
        style_from(self.style)


def write_scenes_ade20k(
    out_dir: str, split: str, num_images: int, **options
) -> int:
    """Write one split of glyph scenes in the layout of ADE20K.

    Scene ``i`` becomes ``images/{split}/scene_{i:06d}.jpg`` and
    ``annotations/{split}/scene_{i:06d}.png``, where 0 is nothing, 1 the paper
    and 2 and more the characters. It equals what :class:`.GlyphSceneDataset`
    draws with the same arguments. Existing scenes are kept, so a stopped run
    resumes.

    Args:
        out_dir (str): The folder; it is created if necessary.
        split (str): 'training' or 'validation'.
        num_images (int): Number of scenes.
        **options: See :class:`SceneOptions`.

    Returns:
        int: Number of scenes drawn by this call.

    Raises:
        ValueError: If an argument is out of range, or the folder holds other
            files.
    """
    options = SceneOptions(**options)
    faces = _faces(ADE20K_FACES, split, options)
    target = SplitFolder(
        str(out_dir),
        split,
        (
            (f'images/{split}', options.img_suffix),
            (f'annotations/{split}', '.png'),
        ),
        SETTINGS_FILE,
        stem='scene_{:06d}',
    )
    return _write_scenes(target, ADE20K_LABELS, num_images, faces, options)


def write_scenes_pascal_context(
    out_dir: str, split: str, num_images: int, **options
) -> int:
    """Write one split of glyph scenes in the layout of PASCAL Context.

    Scene ``i`` becomes ``JPEGImages/{split}_{i:06d}.jpg`` and
    ``SegmentationClassContext/{split}_{i:06d}.png``, where 0 is the paper (the
    background), 1 to 26 of the 59 other classes are 'A' to 'Z', and 255, the
    half-inked edge of a glyph, is ignored. The list of the split is
    ``ImageSets/SegmentationContext/{split}.txt``.

    Args:
        out_dir (str): The folder, ``VOC2010``; it is created if necessary.
        split (str): 'train' or 'val'.
        num_images (int): Number of scenes.
        **options: See :class:`SceneOptions`.

    Returns:
        int: Number of scenes drawn by this call.

    Raises:
        ValueError: If an argument is out of range, or the folder holds other
            files.
    """
    options = SceneOptions(**options)
    faces = _faces(PASCAL_CONTEXT_FACES, split, options)
    target = SplitFolder(
        str(out_dir),
        split,
        (
            ('JPEGImages', options.img_suffix),
            ('SegmentationClassContext', '.png'),
        ),
        SETTINGS_FILE,
        stem=split + '_{:06d}',
        list_file=f'ImageSets/SegmentationContext/{split}.txt',
        other_prefixes=tuple(
            f'{s}_' for s in PASCAL_CONTEXT_FACES if s != split
        ),
    )
    return _write_scenes(
        target, PASCAL_CONTEXT_LABELS, num_images, faces, options
    )


def _faces(
    by_split: dict[str, str], split: str, options: SceneOptions
) -> tuple[str, ...]:
    if split not in by_split:
        raise ValueError(
            f'split should be one of {sorted(by_split)}, but got {split!r}'
        )
    return faces_from(options.faces or by_split[split], SCENE_CHARS)


def _write_scenes(
    target: SplitFolder,
    labels: np.ndarray,
    num_images: int,
    faces: tuple[str, ...],
    options: SceneOptions,
) -> int:
    check_integers(1, num_images=num_images)
    seed, style = int(options.seed), style_from(options.style)
    size = scene_size(options.size)
    return write_split(
        target,
        num_images,
        dict(
            seed=seed,
            faces=list(faces),
            size=list(size),
            style=style_settings(style),
            img_suffix=options.img_suffix,
        ),
        partial(_write_scene, target, labels, faces, seed, size, style),
        options.num_workers,
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
