"""Write VPT's lists of a fine-grained dataset from its original download."""

import hashlib
import json
import os
import os.path as osp

from mmdavpt.datasets.benchmarks import Benchmark
from mmdavpt.datasets.fgvc import set_from
from mmdavpt.errors import UsageError

from ..file_writing import replace_file
from . import ORIGINALS, Original
from .splits import make_lists

#: The file that records how the lists were made.
MANIFEST = 'fgvc_splits.json'


def write_splits(
    name: str,
    folder: str,
    out_dir: str | None = None,
    check_size: bool = True,
    overwrite: bool = False,
    **rule,
) -> dict:
    """Write ``train.json``, ``val.json`` and ``test.json`` of a dataset.

    Also write ``classes.json`` with the class names in the order of the
    labels, if the download has names, and ``fgvc_splits.json`` with the rule.
    CUB and NABirds have a ``classes.txt``, which is kept.

    Args:
        name (str): See :class:`.FGVC`.
        folder (str): The original download.
        out_dir (str, optional): Output folder. Defaults to None: the
            download, where :class:`.FGVC` finds the images.
        check_size (bool): Whether to check the number of images and classes
            against the published ones. Defaults to True.
        overwrite (bool): Whether to replace other lists. Defaults to False.
        **rule: ``fraction``, ``seed`` and ``stratified`` of
            :func:`make_lists`.

    Returns:
        dict: The manifest, and ``image_dir``, the folder of the image paths.

    Raises:
        UsageError: If the download is malformed, an image is missing, or
            other lists exist.
    """
    fgvc_set = set_from(name)
    if not osp.isdir(folder):
        raise UsageError(
            f'the folder {folder} does not exist; give the folder that the '
            'original archives were unpacked to'
        )
    original = ORIGINALS[fgvc_set.name](folder)
    if check_size:
        _check_size(fgvc_set, original, folder)
    image_dir = osp.join(folder, original.image_dir)
    _check_images(original, image_dir)
    lists, how = make_lists(fgvc_set, original, **rule)
    contents = {f'{part}.json': entries for part, entries in lists.items()}
    class_ids = sorted(set(original.train.values()))
    if original.class_names:
        contents['classes.json'] = [
            original.class_names.get(c, str(c)) for c in class_ids
        ]
    files = {
        file: (json.dumps(content, indent=0) + '\n').encode()
        for file, content in contents.items()
    }
    manifest = dict(
        name=fgvc_set.name,
        **how,
        num_classes=len(class_ids),
        counts={part: len(entries) for part, entries in lists.items()},
        sha256={f: hashlib.sha256(files[f]).hexdigest() for f in files},
    )
    files[MANIFEST] = (json.dumps(manifest, indent=1) + '\n').encode()
    _write_files(out_dir or folder, files, overwrite)
    return dict(manifest, image_dir=image_dir)


def _check_size(fgvc_set: Benchmark, original: Original, folder: str) -> None:
    found = dict(
        training=len(original.train),
        test=len(original.test),
        classes=len({*original.train.values(), *original.test.values()}),
    )
    official = original.val is not None
    expected = dict(
        training=fgvc_set.sizes['train' if official else 'trainval'],
        test=fgvc_set.sizes['test'],
        classes=fgvc_set.num_classes,
    )
    if official:
        found['validation'] = len(original.val)
        expected['validation'] = fgvc_set.sizes['val']
    if found != expected:
        raise UsageError(
            f'{folder} lists {_counts(found)}, but {fgvc_set.title} has '
            f'{_counts(expected)}; download its lists again, or use '
            '--no-check-size'
        )


def _counts(counts: dict[str, int]) -> str:
    return (
        ', '.join(
            f'{number} {what} images'
            for what, number in counts.items()
            if what != 'classes'
        )
        + f' and {counts["classes"]} classes'
    )


def _check_images(original: Original, image_dir: str) -> None:
    images = [*original.train, *(original.val or ()), *original.test]
    missing = [i for i in images if not osp.isfile(osp.join(image_dir, i))]
    if missing:
        raise UsageError(
            f'{len(missing)} of {len(images)} images, such as {missing[0]}, '
            f'are not in {image_dir}; unpack the images again'
        )
    if len(set(images)) != len(images):
        raise UsageError(
            f'the lists next to {image_dir} name {len(images)} images, but '
            f'only {len(set(images))} are different; download them again'
        )


def _write_files(
    out_dir: str, files: dict[str, bytes], overwrite: bool
) -> None:
    """Write files in order; raise an error if other files exist."""
    os.makedirs(out_dir, exist_ok=True)
    todo = []
    for name, content in files.items():
        path = osp.join(out_dir, name)
        if not osp.isfile(path):
            todo.append(name)
            continue
        with open(path, 'rb') as file:
            if file.read() != content:
                todo.append(name)
                if not overwrite:
                    raise UsageError(
                        f'{path} exists and differs from the new list; '
                        'choose another folder with --out, or replace it with '
                        '--overwrite'
                    )
    for name in todo:
        content = files[name]
        replace_file(
            osp.join(out_dir, name), lambda file, c=content: file.write(c)
        )
