"""Downloads of datasets: their source, and their files on disk."""

import os
import os.path as osp
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from mmdavpt.errors import UsageError


@dataclass(frozen=True)
class Download:
    """The download of a dataset.

    The user unpacks all archives (.zip, .tar.gz, .gz, .rar) into one folder.

    Attributes:
        title (str): Name of the dataset.
        files (str): Names of the files to download.
        url (str): Address of their page.
    """

    title: str
    files: str
    url: str

    @property
    def advice(self) -> str:
        """str: What to do if something is missing."""
        return (
            f'download {self.files} from {self.url}, unpack into one folder '
            'and give that folder'
        )

    def fail(self, problem: str) -> NoReturn:
        """Raise an error with a problem and the advice.

        Args:
            problem (str): What was expected and what was found.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f'{self.title}: {problem}; {self.advice}')

    def find(self, folder: str, path: str) -> str | None:
        """Look for a file or folder of the download.

        The user may give a folder inside the archive, so leading parts of the
        path may be missing.

        Args:
            folder (str): The folder that the user gave.
            path (str): The path in the archive, with '/'.

        Returns:
            str | None: The path on disk; None if it does not exist.
        """
        parts = path.split('/')
        for start in range(len(parts)):
            found = osp.join(folder, *parts[start:])
            if osp.exists(found):
                return found
        return None

    def locate(self, folder: str, path: str) -> str:
        """Find a file or folder of the download, see :meth:`find`.

        Args:
            folder (str): The folder that the user gave.
            path (str): The path in the archive, with '/'.

        Returns:
            str: The path on disk.

        Raises:
            UsageError: If it does not exist.
        """
        found = self.find(folder, path)
        if found is None:
            self.fail(f'{folder} should hold {path}, but it does not')
        return found

    def class_labels(self, names: Iterable[str], count: int) -> dict[str, int]:
        """Number classes in alphabetical order; check their number.

        Args:
            names (Iterable[str]): Names of classes, also repeated.
            count (int): Number of classes that there should be.

        Returns:
            dict[str, int]: Label of each class.

        Raises:
            UsageError: If the number of classes differs.
        """
        classes = sorted(set(names), key=str.lower)
        if len(classes) != count:
            shown = ', '.join(classes[:3])
            self.fail(
                f'there should be {count} classes, but there are '
                f'{len(classes)} ({shown}{", ..." * (len(classes) > 3)})'
            )
        return {name: label for label, name in enumerate(classes)}

    def check_files(self, paths: Sequence[str]) -> None:
        """Check that files exist.

        Args:
            paths (Sequence[str]): The paths on disk.

        Raises:
            UsageError: If one is missing; the message says how many.
        """
        missing = [path for path in paths if not osp.isfile(path)]
        if missing:
            self.fail(
                f'{len(missing)} of {len(paths)} files are missing, the '
                f'first is {missing[0]}'
            )


def subfolders(folder: str) -> list[str]:
    """List the visible folders in a folder, sorted.

    Args:
        folder (str): The folder.
    """
    return [
        name for name in _visible(folder) if osp.isdir(osp.join(folder, name))
    ]


def files_in(folder: str, suffix: str) -> list[str]:
    """List the visible files with a suffix, sorted.

    Args:
        folder (str): The folder.
        suffix (str): End of the names, for example '.jpg'.
    """
    return [name for name in _visible(folder) if name.endswith(suffix)]


def _visible(folder: str) -> list[str]:
    """Return sorted names without hidden files, such as those of macOS."""
    return sorted(name for name in os.listdir(folder) if name[0] != '.')


def lines_of(path: str) -> list[str]:
    """Return the stripped, non-empty lines of a text file.

    Args:
        path (str): Path of the file.
    """
    with open(path, encoding='utf-8') as file:
        stripped = [line.strip() for line in file]
    return [line for line in stripped if line]
