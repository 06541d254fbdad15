"""Write a task of VTAB-1k in the layout that its reader reads."""

import hashlib
import json
import os
import os.path as osp
from functools import partial

from mmdavpt.datasets.vtab1k.lists import CLASSES_FILE
from mmdavpt.datasets.vtab1k.tasks import VTABTask
from mmdavpt.errors import UsageError

from ..checksums import write_checksums
from ..file_writing import replace_file, replace_text, run_parallel
from .sources.example import Example, Splits

#: The file that says where the images come from.
MANIFEST = 'vtab1k.json'
#: What may not change between two runs into the same folder.
CLAIMED = ('task', 'source', 'image_format', 'entries_sha256')


def write_task(
    task: VTABTask,
    splits: Splits,
    out_dir: str,
    origin: dict[str, object],
    names: list[str] | None = None,
    num_workers: int = 0,
) -> dict[str, int]:
    """Write images, lists, class names, a manifest and checksums.

    Image ``i`` of a split becomes ``{task}/images/{split}/{i:06d}.png``, which
    loses nothing. A stopped run goes on where it was: whole files are kept,
    and the result is the same to the last byte. The checksums come last.

    Args:
        task (VTABTask): The task.
        splits (Splits): The images of each split of VTAB-1k.
        out_dir (str): The folder of all tasks; it is made if need be.
        origin (dict[str, object]): What the manifest says of the source.
        names (list[str], optional): Names of the classes. Defaults to None:
            none are written.
        num_workers (int): Processes that write; 0 writes in this one.
            Defaults to 0.

    Returns:
        dict[str, int]: The number of images written now, of each split.

    Raises:
        UsageError: If the folder holds something else, or an image of the
            source is damaged.
    """
    folder = osp.join(out_dir, task.name)
    texts = _texts(task, splits, origin, names)
    _claim(folder, json.loads(texts[MANIFEST]))
    _remove_temporary(folder)
    replace_text(osp.join(folder, MANIFEST), texts[MANIFEST])
    written = {}
    for split, examples in splits.items():
        todo = _missing(folder, split, examples)
        run_parallel(
            partial(_write_image, folder), todo, num_workers, f'{split} images'
        )
        written[split] = len(todo)
    for name, text in texts.items():
        replace_text(osp.join(folder, name), text)
    images = [
        _image(split, index)
        for split, examples in splits.items()
        for index in range(len(examples))
    ]
    write_checksums(folder, images, list(texts))
    return written


def _image(split: str, index: int) -> str:
    return f'images/{split}/{index:06d}.png'


def _texts(
    task: VTABTask,
    splits: Splits,
    origin: dict[str, object],
    names: list[str] | None,
) -> dict[str, str]:
    """Return the contents of all files but images and checksums."""
    texts = {
        f'{split}.txt': ''.join(
            f'{_image(split, index)} {example.label}\n'
            for index, example in enumerate(examples)
        )
        for split, examples in splits.items()
    }
    if names is not None:
        texts[CLASSES_FILE] = ''.join(f'{name}\n' for name in names)
    entries = hashlib.sha256()
    for split, examples in splits.items():
        for key, label, _ in examples:
            entries.update(f'{split} {key} {label}\n'.encode())
    manifest = dict(
        task=task.name,
        title=task.title,
        **origin,
        image_format='png',
        num_classes=task.num_classes,
        counts={split: len(examples) for split, examples in splits.items()},
        # Of lines "split key label".
        entries_sha256=entries.hexdigest(),
    )
    texts[MANIFEST] = json.dumps(manifest, indent=1) + '\n'
    return texts


def _claim(folder: str, manifest: dict) -> None:
    """Raise a sentence if the folder holds something else; make it."""
    os.makedirs(folder, exist_ok=True)
    path = osp.join(folder, MANIFEST)
    if not osp.exists(path):
        # A copy of the manifest may be left by a stop at the first moment.
        found = [n for n in os.listdir(folder) if not n.startswith(MANIFEST)]
        if found:
            raise UsageError(
                f'{osp.join(folder, min(found))} is there already and was not '
                'written by this tool; choose another folder, or delete this '
                'one'
            )
        return
    try:
        with open(path, encoding='utf-8') as file:
            noted = json.load(file)
        changed = [k for k in CLAIMED if noted.get(k) != manifest[k]]
    except (ValueError, AttributeError) as error:
        raise UsageError(
            f'{path} cannot be read ({error}); delete {folder}, or choose '
            'another folder'
        ) from error
    if changed:
        raise UsageError(
            f'{folder} holds images with another {" and ".join(changed)} (see '
            f'{MANIFEST} there); delete it, or choose another folder'
        )


def _missing(
    folder: str, split: str, examples: list[Example]
) -> list[tuple[str, Example]]:
    """List the images that are not there, after removing half ones."""
    images = osp.join(folder, 'images', split)
    os.makedirs(images, exist_ok=True)
    _remove_temporary(images)
    found = set(os.listdir(images))
    wanted = {
        osp.basename(path): (path, example)
        for path, example in (
            (_image(split, index), example)
            for index, example in enumerate(examples)
        )
    }
    surplus = found - wanted.keys()
    if surplus:
        raise UsageError(
            f'{images} holds {len(surplus)} files, such as {min(surplus)}, '
            f'that are no images of {split}; delete them'
        )
    return [item for name, item in wanted.items() if name not in found]


def _remove_temporary(folder: str) -> None:
    """Remove the files that a stop left unfinished."""
    for name in os.listdir(folder):
        if name.endswith('.tmp'):
            os.remove(osp.join(folder, name))


def _write_image(folder: str, item: tuple[str, Example]) -> None:
    path, example = item
    image = example.read()
    replace_file(osp.join(folder, path), partial(image.save, format='PNG'))
