"""Find splits, and folders of images and labels, by the names of folders."""

from pathlib import Path

from mmdavpt.datasets.folder_files import is_hidden
from mmdavpt.datasets.image_folder import SPLITS
from mmdavpt.errors import UsageError

#: Names of the folders of a segmentation dataset, in lower case.
IMAGES = ('images', 'image', 'imgs', 'img', 'jpegimages')
LABELS = ('labels', 'label', 'masks', 'mask', 'segmentationclass')
LABELS += ('annotations',)  # last: that of Pascal VOC has boxes


def find_task(folder: str) -> str:
    """Return the task that a folder is for.

    Args:
        folder (str): The folder.

    Returns:
        str: 'segmentation' if it has folders of images and of labels, else
        'classification'.

    Raises:
        UsageError: If it has a folder of images, but none of labels.
    """
    root = Path(folder)
    if find_label_folders(root):
        return 'segmentation'
    for place in (root, *(root / name for name in find_splits(root).values())):
        for name in folders_in(place):
            if name.lower() in IMAGES:
                raise UsageError(
                    f'{place} has the folder {name}, but none named labels, '
                    'masks or annotations; rename that of the masks, or train '
                    f'on {place / name} if it has a folder for each class'
                )
    return 'classification'


def find_splits(folder: Path) -> dict[str, str]:
    """Return which folders hold the splits 'train', 'val' and 'test'.

    Args:
        folder (Path): The folder that may have them.
    """
    found, names = {}, [n for n in folders_in(folder) if n.lower() in SPLITS]
    for kind in ('train', 'val', 'test'):
        own = [name for name in names if name.lower().startswith(kind)]
        if len(own) > 1:
            raise UsageError(
                f'{folder} has {own[0]} and {own[1]}; remove or rename one of '
                'them'
            )
        if own:
            found[kind] = own[0]
    return found


def find_label_folders(folder: Path) -> dict[str, tuple[str, str]]:
    """Return the folders of images and of labels, by split.

    Args:
        folder (Path): With ``images`` and ``labels``, or with folders of
            splits outside or inside of these.

    Returns:
        dict[str, tuple[str, str]]: 'train', 'val' and 'test', or '' for
        images that are not split; empty if there are no such folders.
    """
    pair = _label_pair(folder)
    if pair:
        images, labels = (find_splits(folder / name) for name in pair)
        return {
            split: (f'{pair[0]}/{name}', f'{pair[1]}/{labels[split]}')
            for split, name in images.items()
            if split in labels
        } or {'': pair}
    return {
        split: (f'{name}/{pair[0]}', f'{name}/{pair[1]}')
        for split, name in find_splits(folder).items()
        if (pair := _label_pair(folder / name))
    }


def folders_in(folder: Path) -> list[str]:
    """Return the names of the visible folders in a folder.

    Args:
        folder (Path): The folder.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    return [name for name in names if not is_hidden(name)]


def _label_pair(folder: Path) -> tuple[str, str] | None:
    names = {name.lower(): name for name in folders_in(folder)}
    images = [names[name] for name in IMAGES if name in names]
    labels = [names[name] for name in LABELS if name in names]
    return (images[0], labels[0]) if images and labels else None
