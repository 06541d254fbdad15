"""Read CUB-200-2011 and NABirds: text files in one layout."""

import os.path as osp

from mmdavpt.errors import UsageError

from .original import Original, missing_file


def read_cub(folder: str) -> Original:
    """Read CUB-200-2011, the folder ``CUB_200_2011`` of its archive.

    Args:
        folder (str): It has ``images.txt``, ``image_class_labels.txt``,
            ``train_test_split.txt``, ``classes.txt`` and ``images/``.

    Raises:
        UsageError: If a file is missing or malformed.
    """
    names = _read_table(folder, 'classes.txt')
    return _read_birds(
        folder,
        # 001.Black_footed_Albatross
        {
            i: name.split('.', 1)[-1].replace('_', ' ')
            for i, name in names.items()
        },
    )


def read_nabirds(folder: str) -> Original:
    """Read NABirds, the folder ``nabirds`` of its archive.

    Its 555 classes are nodes of a hierarchy; their ids, from 0 to 1,010, have
    gaps.

    Args:
        folder (str): It has the files of CUB, see :func:`read_cub`, with
            other ids.

    Raises:
        UsageError: If a file is missing or malformed.
    """
    return _read_birds(folder, _read_table(folder, 'classes.txt'))


def _read_birds(folder: str, class_names: dict[str, str]) -> Original:
    paths, classes, flags = (
        _read_table(folder, name)
        for name in (
            'images.txt',
            'image_class_labels.txt',
            'train_test_split.txt',
        )
    )
    by_flag: dict[str, dict[str, int]] = {'1': {}, '0': {}}
    for image, path in paths.items():
        class_id, flag = classes.get(image), flags.get(image)
        if flag not in by_flag or class_id not in class_names:
            raise UsageError(
                f'image {image} of {osp.join(folder, "images.txt")} has the '
                f'class {class_id} and the training flag {flag}, but should '
                'have a class of classes.txt and 0 or 1; unpack the archive '
                'again'
            )
        by_flag[flag][path] = _integer(class_id, folder)
    used = {*by_flag['1'].values(), *by_flag['0'].values()}
    names = {_integer(i, folder): name for i, name in class_names.items()}
    return Original(
        by_flag['1'],
        by_flag['0'],
        image_dir='images',
        class_names={i: name for i, name in names.items() if i in used},
    )


def _integer(text: str, folder: str) -> int:
    if not text.isdecimal():
        raise UsageError(
            f'{folder} has the class id {text!r}, but class ids should be '
            'integers; unpack the archive again'
        )
    return int(text)


def _read_table(folder: str, name: str) -> dict[str, str]:
    """Read lines of a key, a space and a value, which may have spaces."""
    path = osp.join(folder, name)
    try:
        with open(path, encoding='utf-8') as file:
            rows = [line.split(maxsplit=1) for line in file if line.strip()]
    except FileNotFoundError:
        raise missing_file(folder, name) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f'{path} cannot be read: {error}') from None
    table = {row[0]: row[1].strip() for row in rows if len(row) == 2}
    if len(table) != len(rows) or not rows:
        raise UsageError(
            f'{path} should have lines of an id and a value, each id once, '
            f'but has {len(table)} such lines of {len(rows)}; unpack the '
            'archive again'
        )
    return table
