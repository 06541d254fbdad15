"""Where the files of a dataset come from, and where they lie on disk."""

import os
import os.path as osp
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from mmdavpt.errors import UsageError


@dataclass(frozen=True)
class Download:
    """The download of a dataset, as a user finds it.

    One rule holds for all: what is packed (.zip, .tar.gz, .gz, .rar) is
    unpacked by the user, all into one folder, and that folder is given.

    Attributes:
        title (str): Name of the dataset.
        files (str): Names of the files to download.
        url (str): Address of the page that offers them.
    """

    title: str
    files: str
    url: str

    @property
    def advice(self) -> str:
        """str: What to do when something is missing."""
        return (
            f'download {self.files} from {self.url}, unpack into one folder '
            'and give that folder'
        )

    def fail(self, problem: str) -> NoReturn:
        """Raise a sentence that says what is wrong and what to do.

        Args:
            problem (str): What was expected and what came.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f'{self.title}: {problem}; {self.advice}')

    def find(self, folder: str, path: str) -> str | None:
        """Look for a file or folder of the download.

        A user may give the folder into which the archive was unpacked or one
        that the archive brought along, so leading parts may be missing.

        Args:
            folder (str): The folder that the user gave.
            path (str): The path as it is in the archive, with '/'.

        Returns:
            str | None: The path on disk, or None if it is not there.
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
            path (str): The path as it is in the archive, with '/'.

        Returns:
            str: The path on disk.

        Raises:
            UsageError: If it is not there.
        """
        found = self.find(folder, path)
        if found is None:
            self.fail(f'{folder} should hold {path}, but it does not')
        return found

    def class_labels(self, names: Iterable[str], count: int) -> dict[str, int]:
        """Number classes in alphabetical order, after counting them.

        Args:
            names (Iterable[str]): The name of a class, as often as it occurs.
            count (int): The number of classes that there should be.

        Returns:
            dict[str, int]: Label of each class.

        Raises:
            UsageError: If there are more or fewer classes.
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
        """Check that all listed files are there.

        Args:
            paths (Sequence[str]): The paths on disk.

        Raises:
            UsageError: If one is missing; the sentence says how many.
        """
        missing = [path for path in paths if not osp.isfile(path)]
        if missing:
            self.fail(
                f'{len(missing)} of {len(paths)} files are missing, the '
                f'first is {missing[0]}'
            )


def subfolders(folder: str) -> list[str]:
    """List the names of the folders in a folder, sorted, without hidden ones.

    Args:
        folder (str): The folder.
    """
    return [
        name for name in _visible(folder) if osp.isdir(osp.join(folder, name))
    ]


def files_in(folder: str, suffix: str) -> list[str]:
    """List the names of files with a suffix, sorted, without hidden ones.

    Args:
        folder (str): The folder.
        suffix (str): How the names end, for example '.jpg'.
    """
    return [name for name in _visible(folder) if name.endswith(suffix)]


def _visible(folder: str) -> list[str]:
    """Return sorted names without hidden ones, such as those of macOS."""
    return sorted(name for name in os.listdir(folder) if name[0] != '.')


def lines_of(path: str) -> list[str]:
    """Return the lines of a text file, stripped, without empty ones.

    Args:
        path (str): Path of the file.
    """
    with open(path, encoding='utf-8') as file:
        stripped = [line.strip() for line in file]
    return [line for line in stripped if line]
