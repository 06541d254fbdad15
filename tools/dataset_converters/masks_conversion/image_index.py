"""Find the image file that an annotation names."""

import os
import os.path as osp
import unicodedata
from collections import defaultdict
from collections.abc import Iterator

from PIL import Image

from mmdavpt.errors import UsageError


def walk(folder: str, suffixes: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the files below a folder in order, except hidden ones.

    Args:
        folder (str): The folder.
        suffixes (tuple[str, ...]): Endings in lower case. Defaults to (): all
            that Pillow reads.

    Yields:
        str: Paths relative to the folder, with slashes.

    Raises:
        UsageError: If there is no such folder.
    """
    if not osp.isdir(folder):
        raise UsageError(f'the folder {folder} does not exist')
    Image.init()
    suffixes = suffixes or tuple(Image.EXTENSION)
    for root, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if name[0] != '.')
        for name in sorted(files):
            if name[0] != '.' and name.lower().endswith(suffixes):
                path = osp.relpath(osp.join(root, name), folder)
                yield path.replace(os.sep, '/')


def plain_name(path: str) -> str:
    """Return a path with slashes, without drive, '.' and '..'.

    Args:
        path (str): A path of Windows or Unix.
    """
    # macOS decomposes letters with accents.
    path = unicodedata.normalize('NFC', path)
    parts = path.replace('\\', '/').split('/')
    return '/'.join(p for p in parts if p.strip(' .') and p[-1] != ':')


class ImageIndex:
    r"""The images below a folder.

    A name and a file match if one path is the end of the other: the file
    ``train/1.jpg`` matches ``C:\data\train\1.jpg`` and ``1.jpg``, but not
    ``val/1.jpg``.

    Args:
        folder (str): The folder.
        by_stem (bool): Whether to ignore suffixes. Defaults to False.
    """

    def __init__(self, folder: str, by_stem: bool = False) -> None:
        self.folder = folder
        self.by_stem = by_stem
        #: Images that no annotation has named so far.
        self.unused = set(walk(folder))
        self._files = defaultdict(list)
        for path in sorted(self.unused):
            self._files[self._parts(path)[-1].lower()].append(path)

    def _parts(self, path: str) -> list[str]:
        path = plain_name(path)
        return (osp.splitext(path)[0] if self.by_stem else path).split('/')

    def find(self, name: str) -> str | None:
        """Return the path of an image; None if there is none.

        Args:
            name (str): Its name in the annotation, of which the last part may
                differ in case, as on Windows.

        Raises:
            UsageError: If several files match.
        """
        *folders, last = self._parts(name)
        ranks = {}
        for path in self._files.get(last.lower(), ()):
            *others, other = self._parts(path)
            # Compare the folders from the last one up.
            pairs = zip(folders[::-1], others[::-1], strict=False)
            if all(one == two for one, two in pairs):
                ranks[path] = (others == folders, other == last)
        best = [path for path in ranks if ranks[path] == max(ranks.values())]
        if len(best) > 1:
            raise UsageError(
                f'{name} matches {len(best)} images of {self.folder}, '
                f'{best[0]} and {best[1]}; choose a folder with --images'
            )
        if not best:
            return None
        self.unused.discard(best[0])
        return osp.join(self.folder, best[0])
