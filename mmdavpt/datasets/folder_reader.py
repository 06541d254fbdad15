"""Find the images of a dataset in a folder, and count what is not used."""

import os.path as osp
from collections import defaultdict
from collections.abc import Iterable, Sized

from mmengine.dataset import BaseDataset
from mmengine.logging import MMLogger

from mmdavpt.errors import UsageError, first_few

from .image_files import list_files, loading_backend, reads

#: How many files of an unknown extension are opened.
TRIALS = 3


class FolderReader(BaseDataset):
    """Base of datasets that use every image their pipeline can load.

    ``skipped`` has the files that are not used by reason, and ``expected``
    completes the sentence about a folder that should have images.
    """

    skipped: dict[str, list[str]]
    expected = ''

    def is_valid_file(self, filename: str) -> bool:
        """Return whether the loader of the pipeline reads a file."""
        return reads(filename, loading_backend(self.pipeline.transforms))

    def find_images(
        self, root: str, backend: str | None = None
    ) -> tuple[list[str], list[str]]:
        """Find the images in a folder and all folders in it.

        An image has an extension, in any case, that the library knows. Files
        of any other extension are opened, the first few of each, and so is
        every file without one.

        Args:
            root (str): The folder.
            backend (str, optional): The library that will decode the images.
                Defaults to None: that of the pipeline.

        Returns:
            tuple[list[str], list[str]]: Images and folders, sorted, relative
            to ``root``.

        Raises:
            UsageError: If a folder does not exist or cannot be read.
        """
        backend = backend or loading_backend(self.pipeline.transforms)
        files, folders, hidden = list_files(root)
        kinds = defaultdict(list)
        for file in files:
            kinds[osp.splitext(file)[1].lower() or file].append(file)
        other = set()
        for group in kinds.values():
            trials = (osp.join(root, file) for file in group[:TRIALS])
            if not any(reads(path, backend) for path in trials):
                other.update(group)
        self.skip('hidden', root, hidden)
        self.skip(f'in no format that {backend} reads', root, sorted(other))
        return [file for file in files if file not in other], folders

    def skip(self, reason: str, root: str, files: Iterable[str]) -> None:
        """Note files that are not used.

        Args:
            reason (str): Why they are not.
            root (str): The folder.
            files (Iterable[str]): The files, relative to it.
        """
        paths = [osp.join(root, file) for file in files]
        if paths:
            self.skipped.setdefault(reason, []).extend(paths)

    def report_skipped(self, root: str, found: Sized) -> None:
        """Log one line on the files that are not used.

        Args:
            root (str): The folder.
            found (Sized): The images that are used.

        Raises:
            UsageError: If there is no image.
        """
        unused = '; '.join(
            f'{reason}: {first_few(map(osp.basename, files))}'
            for reason, files in self.skipped.items()
        )
        unused = unused and f'; not used: {unused}'
        if not found:
            wanted = f'{root} should have images{self.expected}'
            raise UsageError(f'{wanted}, but has none{unused}')
        if unused:
            logger = MMLogger.get_current_instance()
            logger.warning(f'{root}: {len(found)} images{unused}')
