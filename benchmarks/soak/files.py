"""Damage files at random: each is read or rejected, and executes nothing."""

import json
import os
import pickle
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.logging import HistoryBuffer
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image
from safetensors.torch import save_file

from mmdavpt.checkpoints.reading import read_torch
from mmdavpt.checks.data.before_run import check_run_data
from mmdavpt.datasets import FGVC, VTAB1k
from mmdavpt.engine.checked_pipeline import CheckedPipeline
from mmdavpt.errors import UsageError
from mmdavpt.models.pretrained import read_checkpoint

from .isolated import NotKept, try_cases
from .report import Report

IMAGES, CLASSES = 6, 3
#: The file that code inside a damaged file would create.
MARK = 'executed'


class Command:
    """A pickled command in place of a value, as in an attack."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        """Return a call that creates a file."""
        return os.system, (f'touch {self.mark}',)


def weights(rng: random.Random) -> dict:
    """Return a small checkpoint."""
    seed = torch.Generator().manual_seed(rng.randrange(1000))
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    return dict(
        meta=dict(epoch=1, iter=3, time='now', classes=('a', 'b')),
        message_hub=dict(log_scalars={'train/loss': history}),
        state_dict={
            f'layers.{i}.weight': torch.randn(4, 5, generator=seed)
            for i in range(3)
        },
        best=np.float32(0.5),
    )


def write_checkpoint(rng: random.Random, folder: Path) -> Path:
    """Write a checkpoint in one of the readable formats."""
    content, path = weights(rng), folder / 'a.pth'
    form = rng.choice(['zip', 'old', 'safetensors', 'npz', 'command'])
    if form == 'command':
        mark = str(folder / MARK)
        content[rng.choice(['meta', 'hub'])] = Command(mark)
        if rng.random() < 0.5:
            path.write_bytes(pickle.dumps(content))
            return path
    if form == 'safetensors':
        path = folder / 'a.safetensors'
        save_file(content['state_dict'], str(path))
    elif form == 'npz':
        path = folder / 'a.npz'
        np.savez(path, **{k: v for k, v in content['state_dict'].items()})
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form != 'old')
    return path


def read_weights(path: Path) -> None:
    """Read a checkpoint as the tools and the backbone do."""
    read_checkpoint(str(path))
    if path.suffix == '.pth':
        read_torch(str(path))


def damage(rng: random.Random, path: Path) -> str:
    """Damage the bytes of a file; return how."""
    content = bytearray(path.read_bytes())
    size = len(content)
    at, length = rng.randrange(size + 1), rng.choice([1, 1, 4, 64, 1024])
    kind = rng.choice(
        ['cut', 'flip', 'zeros', 'insert', 'remove', 'noise', 'swap', 'none']
    )
    if kind == 'cut':
        del content[at:]
    elif kind == 'flip' and at < size:
        content[at] ^= 1 << rng.randrange(8)
    elif kind == 'zeros':
        content[at : at + length] = bytes(len(content[at : at + length]))
    elif kind == 'insert':
        content[at:at] = rng.randbytes(length)
    elif kind == 'remove':
        del content[at : at + length]
    elif kind == 'noise':
        for _ in range(rng.randint(1, 20)):
            content[rng.randrange(size)] = rng.randrange(256)
    elif kind == 'swap':
        content = content[at:] + content[:at]
    path.write_bytes(bytes(content))
    return f'{path.name}: {kind} of {length} at {at} of {size} bytes'


def write_image(rng: random.Random, path: Path) -> None:
    """Write a small image in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.frombuffer(rng.randbytes(24 * 20 * 3), np.uint8)
    Image.fromarray(pixels.reshape(24, 20, 3)).save(path)


def image_folder(rng: random.Random, folder: Path) -> dict:
    """Write one folder per class; return the dataset's config."""
    for i in range(IMAGES):
        suffix = rng.choice(['jpg', 'png', 'webp'])
        write_image(rng, folder / f'{"abc"[i % CLASSES]}/{i}.{suffix}')
    return dict(
        type='mmpretrain.CustomDataset',
        data_root=str(folder),
        extensions=('.jpg', '.png', '.webp'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='mmpretrain.PackInputs'),
        ],
    )


def scene_folder(rng: random.Random, folder: Path) -> dict:
    """Write images and label maps in the ADE20K layout."""
    for i in range(IMAGES):
        write_image(rng, folder / f'images/{i}.jpg')
        (folder / 'annotations').mkdir(exist_ok=True)
        labels = np.frombuffer(rng.randbytes(24 * 20), np.uint8) % CLASSES
        Image.fromarray(labels.reshape(24, 20)).save(
            folder / f'annotations/{i}.png'
        )
    return dict(
        type='mmseg.ADE20KDataset',
        data_root=str(folder),
        data_prefix=dict(img_path='images', seg_map_path='annotations'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='mmseg.LoadAnnotations'),
            dict(type='mmseg.PackSegInputs'),
        ],
    )


def fgvc_folder(rng: random.Random, folder: Path) -> dict:
    """Write images with VPT's lists."""
    names = [f'images/{i}.jpg' for i in range(IMAGES)]
    for name in names:
        write_image(rng, folder / name)
    for part, own in (
        ('train', names[:3]),
        ('val', names[3:4]),
        ('test', names[4:]),
    ):
        entries = {name: i % CLASSES + 1 for i, name in enumerate(own)}
        (folder / f'{part}.json').write_text(json.dumps(entries))
    return dict(
        type=FGVC,
        name='cub',
        split='trainval',
        data_root=str(folder),
        check_size=False,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='mmpretrain.PackInputs'),
        ],
    )


def vtab_folder(rng: random.Random, folder: Path) -> dict:
    """Write images with the lists of VTAB-1k."""
    for part in ('train800', 'val200', 'train800val200', 'test'):
        lines = []
        for i in range(IMAGES):
            name = f'images/{part}/{i}.jpg'
            write_image(rng, folder / 'cifar' / name)
            lines.append(f'{name} {i % CLASSES}')
        (folder / f'cifar/{part}.txt').write_text('\n'.join(lines))
    return dict(
        type=VTAB1k,
        task='cifar',
        split='train800',
        data_root=str(folder),
        check_size=False,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='mmpretrain.PackInputs'),
        ],
    )


FOLDERS: tuple[Callable, ...] = (
    image_folder,
    scene_folder,
    fgvc_folder,
    vtab_folder,
)


def read_all(dataset: dict) -> str:
    """Check a dataset as before a run, then read all of it."""
    cfg = dict(
        default_scope='mmpretrain', train_dataloader=dict(dataset=dataset)
    )
    check_run_data(cfg, training=True)
    built = DATASETS.build(dict(dataset))
    built.pipeline = CheckedPipeline(Compose(built.pipeline.transforms))
    for i in range(len(built)):
        built[i]['inputs'].float().sum()
    return 'read'


def case(seed: int) -> str:
    """Damage one file, or some of a folder, and read it.

    Args:
        seed (int): Seed of what is damaged, where and how.

    Returns:
        str: The outcome.

    Raises:
        NotKept: If it ends in anything but a sentence or the content, or if
            code of the file was executed.
    """
    rng = random.Random(seed)
    np.random.seed(seed % 2**32)
    folder = Path(tempfile.mkdtemp(prefix='files_'))
    try:
        return _case(rng, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _case(rng: random.Random, folder: Path) -> str:
    if rng.random() < 0.6:
        path = write_checkpoint(rng, folder)
        how, what = damage(rng, path), 'checkpoint'
    else:
        make = rng.choice(FOLDERS)
        dataset, what = make(rng, folder / 'data'), make.__name__
        files = sorted(p for p in (folder / 'data').rglob('*') if p.is_file())
        how = [damage(rng, p) for p in rng.sample(files, rng.randint(1, 2))]
    try:
        if what == 'checkpoint':
            read_weights(path)
            outcome = 'read'
        else:
            outcome = read_all(dataset)
    except UsageError as error:
        outcome = 'refused'
        if not str(error).strip():
            raise NotKept(f'{what}, {how}: an empty sentence') from error
    except Exception as error:  # anything but a sentence
        trace = error.__traceback__
        while trace.tb_next is not None:
            trace = trace.tb_next
        raise NotKept(
            f'{what}, {how}: {type(error).__name__}: {str(error)[:300]} '
            f'({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})'
        ) from error
    if (folder / MARK).exists():
        raise NotKept(f'{what}, {how}: code of the file was executed')
    return f'{what} {outcome}'


def run(count: int, seed: int, deadline: float) -> Report:
    """Damage many files.

    Args:
        count (int): The number of cases.
        seed (int): The first seed.
        deadline (float): The latest end, in ``time.monotonic`` seconds.

    Returns:
        Report: The outcomes.
    """
    torch.set_num_threads(1)
    init_default_scope('mmpretrain')
    return try_cases('files', case, count, seed, deadline)
