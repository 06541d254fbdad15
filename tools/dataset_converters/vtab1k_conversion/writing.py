"""Write a task of VTAB-1k in the layout of its reader."""

import hashlib
import json
import os
import os.path as osp
from functools import partial

from mmdavpt.datasets.benchmarks import Benchmark
from mmdavpt.datasets.vtab1k import CLASSES_FILE
from mmdavpt.errors import UsageError

from ..checksums import write_checksums
from ..file_writing import replace_file, replace_text, run_parallel
from .sources.example import Example, Splits

#: The file that records the source of the images.
MANIFEST = 'vtab1k.json'
#: Keys of the manifest that must not change between runs into a folder.
CLAIMED = ('task', 'source', 'image_format', 'entries_sha256')


def write_task(
    task: Benchmark,
    splits: Splits,
    out_dir: str,
    origin: dict[str, object],
    names: list[str] | None = None,
    num_workers: int = 0,
) -> dict[str, int]:
    """Write images, lists, class names, a manifest and checksums.

    Image ``i`` of a split becomes ``{task}/images/{split}/{i:06d}.png``,
    which is lossless. A stopped run resumes: complete files are kept, and the
    result has the same bytes. The checksums are written last.

    Args:
        task (Benchmark): The task.
        splits (Splits): Images of each split of VTAB-1k.
        out_dir (str): Folder of all tasks; it is created if necessary.
        origin (dict[str, object]): Entries of the manifest about the source.
        names (list[str], optional): Class names. Defaults to None: write
            none.
        num_workers (int): Number of processes; 0 uses this process.
            Defaults to 0.

    Returns:
        dict[str, int]: Number of images written by this call, by split.

    Raises:
        UsageError: If the folder holds other files, or an image of the source
            is damaged.
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
    task: Benchmark,
    splits: Splits,
    origin: dict[str, object],
    names: list[str] | None,
) -> dict[str, str]:
    """Return the contents of all files except images and checksums."""
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
        # Hash of lines "split key label".
        entries_sha256=entries.hexdigest(),
    )
    texts[MANIFEST] = json.dumps(manifest, indent=1) + '\n'
    return texts


def _claim(folder: str, manifest: dict) -> None:
    """Create the folder; raise an error if it holds other files."""
    os.makedirs(folder, exist_ok=True)
    path = osp.join(folder, MANIFEST)
    if not osp.exists(path):
        # An early interruption may leave a temporary copy of the manifest.
        found = [n for n in os.listdir(folder) if not n.startswith(MANIFEST)]
        if found:
            raise UsageError(
                f'{osp.join(folder, min(found))} exists and was not written '
                'by this tool; choose another folder, or delete this one'
            )
        return
    try:
        with open(path, encoding='utf-8') as file:
            recorded = json.load(file)
        changed = [k for k in CLAIMED if recorded.get(k) != manifest[k]]
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
    """List missing images; remove incomplete ones."""
    images = osp.join(folder, 'images', split)
    os.makedirs(images, exist_ok=True)
    _remove_temporary(images)
    found = set(os.listdir(images))
    expected = {
        osp.basename(path): (path, example)
        for path, example in (
            (_image(split, index), example)
            for index, example in enumerate(examples)
        )
    }
    surplus = found - expected.keys()
    if surplus:
        raise UsageError(
            f'{images} holds {len(surplus)} unexpected files, such as '
            f'{min(surplus)}; delete them'
        )
    return [item for name, item in expected.items() if name not in found]


def _remove_temporary(folder: str) -> None:
    """Remove temporary files that an interruption left."""
    for name in os.listdir(folder):
        if name.endswith('.tmp'):
            os.remove(osp.join(folder, name))


def _write_image(folder: str, item: tuple[str, Example]) -> None:
    path, example = item
    image = example.read()
    replace_file(osp.join(folder, path), partial(image.save, format='PNG'))
