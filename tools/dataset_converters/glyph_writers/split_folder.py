"""Write the images of one split; resume after an interruption."""

import json
import os
import os.path as osp
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from mmdavpt.datasets.glyphs.styles import GlyphStyle

from ..file_writing import replace_file, replace_text, run_parallel

#: Encoding of images: full color resolution for thin strokes; PNG is lossless.
IMAGE_FORMATS: dict[str, dict[str, Any]] = {
    '.jpg': dict(format='JPEG', quality=95, subsampling=0),
    '.png': dict(format='PNG'),
}


@dataclass(frozen=True)
class SplitFolder:
    """Folders of the images of one split.

    Attributes:
        root (str): Folder of the dataset.
        split (str): Name of the split.
        kinds (tuple[tuple[str, str], ...]): Folder, relative to the root, and
            suffix of each file of an image. The image itself comes first.
        settings_file (str): The file that records how the images were drawn,
            relative to the root.
        stem (str): Format of the file names. Defaults to '{:06d}'.
        list_file (str, optional): List of the images, relative to the root,
            written last. Defaults to None.
        other_prefixes (tuple[str, ...]): Prefixes of the images of other
            splits in the same folders. Defaults to ().
    """

    root: str
    split: str
    kinds: tuple[tuple[str, str], ...]
    settings_file: str
    stem: str = '{:06d}'
    list_file: str | None = None
    other_prefixes: tuple[str, ...] = ()

    def path(self, kind: int, index: int) -> str:
        """Return the path of a file of an image.

        Args:
            kind (int): Index into ``kinds``.
            index (int): Index of the image.
        """
        folder, suffix = self.kinds[kind]
        return osp.join(self.root, folder, self.stem.format(index) + suffix)

    @property
    def folders(self) -> list[str]:
        """The folders, joined to the root."""
        return [osp.join(self.root, folder) for folder, _ in self.kinds]


def check_img_suffix(img_suffix: str) -> None:
    """Raise an error if a suffix is not supported.

    Args:
        img_suffix (str): Such as '.png'.

    Raises:
        ValueError: If it is not supported.
    """
    if img_suffix not in IMAGE_FORMATS:
        raise ValueError(
            'img_suffix should be one of '
            f'{sorted(IMAGE_FORMATS)}, but got {img_suffix!r}'
        )


def style_settings(style: GlyphStyle) -> dict[str, Any]:
    """Return a style as JSON stores it."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(style).items()
    }


def save_pixels(path: str, pixels: np.ndarray) -> None:
    """Write an image atomically.

    Args:
        path (str): Its path, with a suffix in ``IMAGE_FORMATS``.
        pixels (np.ndarray): uint8, with shape (H, W), or BGR with shape
            (H, W, 3).
    """
    image = Image.fromarray(pixels if pixels.ndim == 2 else pixels[..., ::-1])
    options = IMAGE_FORMATS[osp.splitext(path)[1]]
    replace_file(path, partial(image.save, **options))


def write_split(
    target: SplitFolder,
    num_images: int,
    settings: dict[str, Any],
    write_image: Callable[[int], None],
    num_workers: int,
    list_lines: list[str] | None = None,
) -> int:
    """Write the missing images of a split.

    Args:
        target (SplitFolder): Where to write them.
        num_images (int): Number of images of the split.
        settings (dict[str, Any]): Everything that determines the images, as
            JSON stores it. A folder with other settings is an error.
        write_image (Callable): Writes all files of the image with the given
            index, the image itself last; picklable.
        num_workers (int): Number of processes; 0 uses this process.
        list_lines (list[str], optional): Lines of ``target.list_file``.
            Defaults to None.

    Returns:
        int: Number of images drawn by this call.

    Raises:
        ValueError: If the folder holds other files.
    """
    _claim(target, settings)
    todo = _missing(target, num_images)
    run_parallel(write_image, todo, num_workers, f'{target.split} images')
    if target.list_file is not None:
        path = osp.join(target.root, target.list_file)
        os.makedirs(osp.dirname(path), exist_ok=True)
        replace_text(path, ''.join(f'{line}\n' for line in list_lines))
    return len(todo)


def _claim(target: SplitFolder, settings: dict[str, Any]) -> None:
    """Record the settings of a split; reject a folder with other files."""
    path = osp.join(target.root, target.settings_file)
    recorded = {}
    if osp.exists(path):
        with open(path, encoding='utf-8') as file:
            recorded = json.load(file)
    split = target.split
    if split not in recorded:
        unexpected = _unexpected_files(target, bool(recorded))
        if unexpected:
            raise ValueError(
                f'{min(unexpected)} exists and was not drawn by this tool; '
                'choose an empty folder'
            )
        recorded[split] = settings
        os.makedirs(target.root, exist_ok=True)
        replace_text(path, json.dumps(recorded, indent=1))
    elif recorded[split] != settings:
        changed = sorted(
            k for k in settings if recorded[split].get(k) != settings[k]
        )
        raise ValueError(
            f'{target.root} holds {split} images drawn with another '
            f'{" and ".join(changed)} (see {path}); delete it or choose '
            'another folder'
        )
    for folder in target.folders:
        os.makedirs(folder, exist_ok=True)


def _unexpected_files(target: SplitFolder, is_ours: bool) -> list[str]:
    """List files that prevent writing a new split.

    A folder of glyphs may hold other splits; any other must be empty.
    """
    if not is_ours:
        names = os.listdir(target.root) if osp.isdir(target.root) else []
        return [
            osp.join(target.root, name)
            for name in names
            if not name.startswith('.') and not name.endswith('.tmp')
        ]
    files = [
        osp.join(folder, name)
        for folder in filter(osp.isdir, target.folders)
        for name in os.listdir(folder)
        if not name.startswith(target.other_prefixes)
    ]
    if target.list_file is not None:
        files.append(osp.join(target.root, target.list_file))
    return list(filter(osp.exists, files))


def _missing(target: SplitFolder, num_images: int) -> list[int]:
    """List incomplete images; remove files that an interruption left."""
    found = []
    for folder, (_, suffix) in zip(target.folders, target.kinds, strict=True):
        names = [
            name
            for name in os.listdir(folder)
            if not name.startswith(target.other_prefixes)
        ]
        for name in names:
            if name.endswith('.tmp'):
                os.remove(osp.join(folder, name))
        found.append({n for n in names if n.endswith(suffix)})
    wanted = [
        [target.stem.format(index) + suffix for _, suffix in target.kinds]
        for index in range(num_images)
    ]
    surplus = len(found[0] - {names[0] for names in wanted})
    if surplus:
        raise ValueError(
            f'{target.folders[0]} holds {surplus} more images of '
            f'{target.split} than the {num_images} to write, and a reader may '
            'read them; delete the folder, choose another, or write more'
        )
    return [
        index
        for index, names in enumerate(wanted)
        if not all(n in f for n, f in zip(names, found, strict=True))
    ]
