"""Find the image file that an annotation names."""

import os.path as osp
from collections import defaultdict
from pathlib import PureWindowsPath

from mmdavpt.datasets import image_files as files
from mmdavpt.errors import UsageError


def plain_name(path: str) -> str:
    """Return a path with slashes, without drive, '.' and '..'.

    Args:
        path (str): A path of Windows or Unix.
    """
    path = PureWindowsPath(files.normalize_name(path))
    return '/'.join(p for p in path.parts if p not in ('..', path.anchor))


class ImageIndex:
    r"""The images below a folder.

    A name and a file match if one path is the end of the other, in any case:
    the file ``train/1.jpg`` matches ``C:\data\train\1.jpg`` and ``1.JPG``, but
    not ``val/1.jpg``.

    Args:
        folder (str): The folder.
        by_stem (bool): Whether to ignore suffixes. Defaults to False.
    """

    def __init__(self, folder: str, by_stem: bool = False) -> None:
        self.by_stem = by_stem
        names = files.list_files(folder)[0]
        names = [n for n in names if files.media_type(n) == 'image']
        #: Paths of all images.
        self.paths = [osp.join(folder, name) for name in names]
        self._files = defaultdict(list)
        for name, path in zip(names, self.paths, strict=True):
            key = self._key(name)
            self._files[osp.basename(key)].append((key, path))

    def _key(self, name: str) -> str:
        name = osp.splitext(name)[0] if self.by_stem else name
        return f'/{plain_name(name).casefold()}'

    def find(self, name: str) -> str | None:
        """Return the path of an image; None if there is none.

        Args:
            name (str): Its name in the annotation.

        Raises:
            UsageError: If several files match, but none exactly.
        """
        if osp.isabs(name) and osp.isfile(name):
            return name
        key = self._key(name)
        found = self._files.get(osp.basename(key), ())
        near = [p for k, p in found if k.endswith(key) or key.endswith(k)]
        matches = [p for k, p in found if k == key] or near
        if len(matches) > 1:
            both = f'{matches[0]} or {matches[1]}'
            raise UsageError(f'{name} may be {both}; see --images')
        return matches[0] if matches else None
