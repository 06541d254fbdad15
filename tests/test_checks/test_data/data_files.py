"""Small files on disk, and configs of the datasets that read them."""

import zlib

import numpy as np
from PIL import Image

from mmdavpt.checks.data.before_run import check_run_data

SEG = 'mmseg.BaseSegDataset'
CLS = 'mmpretrain.CustomDataset'
IMAGES = ('.jpg', '.png', '.webp')


def config(of='train', **dataset):
    scope = 'mmpretrain' if 'mmpretrain' in dataset['type'] else 'mmseg'
    return {'default_scope': scope, f'{of}_dataloader': {'dataset': dataset}}


def check(of='train', **dataset):
    return check_run_data(config(of, **dataset), training=of != 'test')


def write(folder, *names, content=None):
    """Write files: small pictures by their suffix, or the given text."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None and path.suffix.lower() in IMAGES:
            picture(path)
        else:
            path.write_text('x' if content is None else content)


def picture(path, size=(4, 4), mode='RGB', **kwargs):
    """Write noise that depends on the name of the file."""
    rng = np.random.default_rng(zlib.crc32(str(path).encode()))
    pixels = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **kwargs)


def truncate(path, keep=0.6):
    """Leave only the first part of a file, with all of its header."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])


def scenes(folder, number=4, size=(8, 12), classes=3, **kwargs):
    """Write images with labels of all classes; return their dataset."""
    rng = np.random.default_rng(zlib.crc32(str(folder).encode()))
    for name in ('img', 'ann'):
        (folder / name).mkdir(parents=True)
    for i in range(number):
        image = rng.integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(image).save(folder / f'img/{i}.jpg')
        label(folder / f'ann/{i}.png', rng.integers(0, classes, size))
    return dict(
        type=SEG,
        data_root=str(folder),
        data_prefix=dict(img_path='img', seg_map_path='ann'),
        metainfo=dict(classes=[str(k) for k in range(classes)]),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='mmseg.LoadAnnotations'),
            dict(type='mmseg.PackSegInputs'),
        ],
        **kwargs,
    )


def label(path, values, dtype=np.uint8):
    """Write an annotation."""
    Image.fromarray(np.asarray(values, dtype)).save(path)


def listed_images(folder, labels):
    """Write images and a list of them; return their dataset."""
    for name in labels:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture(folder / name, (40, 30))
    lines = [f'{name} {k}' for name, k in labels.items()]
    (folder / 'list.txt').write_text('\n'.join(lines))
    return dict(
        type=CLS,
        data_root=str(folder),
        ann_file='list.txt',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='mmpretrain.PackInputs'),
        ],
    )
