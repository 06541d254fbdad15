"""Checksums of the files of a folder, as ``sha256sum -c`` reads them."""

import hashlib
import os.path as osp
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from mmdavpt.errors import UsageError
from mmdavpt.progress import track

from .file_writing import replace_text

CHECKSUMS_FILE = 'checksums.sha256'
_LINE = re.compile(r'([0-9a-f]{64}) [ *](.+)')
#: Number of threads that read files.
_THREADS = 8


def read_checksums(folder: str) -> dict[str, str] | None:
    """Read the checksums of a folder.

    Args:
        folder (str): The folder.

    Returns:
        dict[str, str], optional: SHA-256 digests by path relative to the
        folder; None without the file.

    Raises:
        UsageError: If a line is malformed.
    """
    path = osp.join(folder, CHECKSUMS_FILE)
    if not osp.exists(path):
        return None
    checksums = {}
    with open(path, encoding='utf-8', errors='replace') as file:
        for number, line in enumerate(file, 1):
            match = _LINE.fullmatch(line.rstrip('\n'))
            if match is None:
                raise UsageError(
                    f'{path}, line {number} should be a SHA-256 digest, two '
                    f'spaces and a path, but is {line.rstrip()!r}; delete the '
                    'file to have it written again'
                )
            checksums[match[2]] = match[1]
    return checksums


def write_checksums(
    folder: str, kept: Sequence[str], rewritten: Sequence[str] = ()
) -> None:
    """Write checksums; raise if a file changed since the last ones.

    Args:
        folder (str): The folder.
        kept (Sequence[str]): Files that must not have changed, relative to
            the folder.
        rewritten (Sequence[str]): Files that may have changed.
            Defaults to ().

    Raises:
        UsageError: If a file has changed.
    """
    recorded = read_checksums(folder) or {}
    checksums = _digests(folder, [*kept, *rewritten])
    changed = [n for n in kept if recorded.get(n) not in (None, checksums[n])]
    if changed:
        raise UsageError(
            f'{len(changed)} files of {folder}, such as {changed[0]}, differ '
            f'from {CHECKSUMS_FILE}; delete them and run this again'
        )
    text = ''.join(
        f'{checksums[name]}  {name}\n' for name in sorted(checksums)
    )
    replace_text(osp.join(folder, CHECKSUMS_FILE), text)


def checksum_defects(folder: str, checksums: dict[str, str]) -> dict[str, str]:
    """Return the files that differ from their checksums.

    Args:
        folder (str): The folder.
        checksums (dict[str, str]): Result of :func:`read_checksums`.

    Returns:
        dict[str, str]: What is wrong, by path relative to the folder.
    """
    digests = _digests(folder, list(checksums))
    return {
        name: f'differs from {CHECKSUMS_FILE}'
        if digests[name]
        else 'does not exist'
        for name, recorded in checksums.items()
        if digests[name] != recorded
    }


def _digests(folder: str, names: Sequence[str]) -> dict[str, str | None]:
    """Return the digest of each file; None for one that does not exist."""

    def digest(name: str) -> str | None:
        try:
            with open(osp.join(folder, name), 'rb') as file:
                return hashlib.sha256(file.read()).hexdigest()
        except FileNotFoundError:
            return None

    with ThreadPoolExecutor(_THREADS) as pool:
        found = track(pool.map(digest, names), 'checksums', len(names))
        return dict(zip(names, found, strict=True))
