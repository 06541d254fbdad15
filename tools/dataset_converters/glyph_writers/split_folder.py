"""Write the drawn images of one split into folders, and go on after a stop."""

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

#: How images are encoded: at full colour resolution, since the strokes are
#: thin; PNG loses nothing.
IMAGE_FORMATS: dict[str, dict[str, Any]] = {
    '.jpg': dict(format='JPEG', quality=95, subsampling=0),
    '.png': dict(format='PNG'),
}


@dataclass(frozen=True)
class SplitFolder:
    """Where the images of one split go.

    Attributes:
        root (str): The folder of the data set.
        split (str): The name of the split.
        kinds (tuple[tuple[str, str], ...]): For each file of an image its
            folder, relative to the root, and its suffix. The image itself
            comes first.
        settings_file (str): The file that says what was drawn, relative to
            the root.
        stem (str): Format of the names of files. Defaults to '{:06d}'.
        list_file (str, optional): The list of the images, relative to the
            root, written last. Defaults to None: there is none.
        neighbours (tuple[str, ...]): What names of other splits' images in
            the same folders begin with. Defaults to ().
    """

    root: str
    split: str
    kinds: tuple[tuple[str, str], ...]
    settings_file: str
    stem: str = '{:06d}'
    list_file: str | None = None
    neighbours: tuple[str, ...] = ()

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
    """Raise a sentence if images are not written in such files.

    Args:
        img_suffix (str): Such as '.png'.

    Raises:
        ValueError: If it is unknown.
    """
    if img_suffix not in IMAGE_FORMATS:
        raise ValueError(
            'img_suffix should be one of '
            f'{sorted(IMAGE_FORMATS)}, but got {img_suffix!r}'
        )


def style_settings(style: GlyphStyle) -> dict[str, Any]:
    """Return a style as JSON would give it back."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(style).items()
    }


def save_pixels(path: str, pixels: np.ndarray) -> None:
    """Write an image so that it is whole or not there.

    Args:
        path (str): Its path, with a suffix out of ``IMAGE_FORMATS``.
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
    """Write the images of a split that are not there yet.

    Args:
        target (SplitFolder): Where they go.
        num_images (int): How many there should be.
        settings (dict[str, Any]): What determines the images, as JSON would
            give it back. A folder with other settings is refused.
        write_image (Callable): Writes all files of the image with the given
            index, the image itself last; picklable.
        num_workers (int): Processes that draw; 0 draws in this one.
        list_lines (list[str], optional): The lines of ``target.list_file``.
            Defaults to None.

    Returns:
        int: The number of images drawn now.

    Raises:
        ValueError: If the folder holds something else.
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
    """Note the settings of a split; refuse a folder with other contents."""
    path = osp.join(target.root, target.settings_file)
    noted = {}
    if osp.exists(path):
        with open(path, encoding='utf-8') as file:
            noted = json.load(file)
    split = target.split
    if split not in noted:
        strangers = _strangers(target, bool(noted))
        if strangers:
            raise ValueError(
                f'{min(strangers)} is there already and was not drawn by '
                'this writer; choose an empty folder'
            )
        noted[split] = settings
        os.makedirs(target.root, exist_ok=True)
        replace_text(path, json.dumps(noted, indent=1))
    elif noted[split] != settings:
        changed = sorted(
            k for k in settings if noted[split].get(k) != settings[k]
        )
        raise ValueError(
            f'{target.root} holds {split} images that were drawn with another '
            f'{" and ".join(changed)} (see {path}); delete it or choose '
            'another folder'
        )
    for folder in target.folders:
        os.makedirs(folder, exist_ok=True)


def _strangers(target: SplitFolder, is_ours: bool) -> list[str]:
    """List what is in the way of a split that was not written before.

    A folder of glyphs may hold other splits; any other should be empty.
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
        if not name.startswith(target.neighbours)
    ]
    if target.list_file is not None:
        files.append(osp.join(target.root, target.list_file))
    return list(filter(osp.exists, files))


def _missing(target: SplitFolder, num_images: int) -> list[int]:
    """List the images that are not complete; remove what a stop left."""
    found = []
    for folder, (_, suffix) in zip(target.folders, target.kinds, strict=True):
        names = [
            name
            for name in os.listdir(folder)
            if not name.startswith(target.neighbours)
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
            f'{target.folders[0]} holds {surplus} images of {target.split} '
            f'beyond the {num_images} asked for, which a reader may read too; '
            'delete the folder, choose another, or ask for more'
        )
    return [
        index
        for index, names in enumerate(wanted)
        if not all(n in f for n, f in zip(names, found, strict=True))
    ]
