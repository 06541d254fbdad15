"""Small folders of three colours, and runs of both tasks on them."""

import numpy as np
from mmengine.config import Config
from PIL import Image

from mmdavpt.checks.preflight import preflight
from mmdavpt.errors import UsageError
from tests import toy

COLORS = dict(blue=(30, 60, 220), green=(20, 200, 60), red=(220, 30, 30))
LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackSegInputs')
ANNOTATIONS = dict(type='LoadAnnotations')
RESIZE = dict(type='Resize', scale=(32, 32))
#: LoadAnnotations comes after Resize: predictions are resized, not labels.
TEST_PIPELINE = [LOAD, RESIZE, ANNOTATIONS, PACK]


def paint(path, color, size=(32, 32), seed=0):
    """Write a noisy image of one color; ``size`` is height and width."""
    noise = np.random.default_rng(seed).normal(0, 12, (*size, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = (np.array(color) + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def photos(folder, number=4, names=COLORS):
    """Write one folder of images for each color."""
    for k, name in enumerate(names):
        for i in range(number):
            color = [*COLORS.values()][k]
            paint(folder / name / f'{i}.png', color, seed=10 * k + i)
    return folder


def masks(folder, number=4, size=(32, 40), values=(0, 1, 2)):
    """Write images whose columns have the color of their label."""
    for i in range(number):
        order = np.roll(values, i)
        labels = np.repeat(order, -(-size[1] // len(values)))[: size[1]]
        labels = np.tile(labels, (size[0], 1)).astype(np.uint8)
        colors = np.array([*COLORS.values()])[
            np.searchsorted(sorted(values), labels)
        ]
        noise = np.random.default_rng(i).normal(0, 12, (*size, 3))
        for part in ('images', 'labels'):
            (folder / part).mkdir(parents=True, exist_ok=True)
        pixels = (colors + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f'images/{i}.png')
        Image.fromarray(labels).save(folder / f'labels/{i}.png')
    return folder


def tta_pipeline(task, views=(RESIZE,)):
    """Return a pipeline of some views."""
    last = [[ANNOTATIONS], [PACK]]
    if task == 'cls':
        last = [[dict(type='PackInputs')]]
    transforms = [list(views), *last]
    return [LOAD, dict(type='TestTimeAug', transforms=transforms)]


def _with_test(cfg):
    for part in ('dataloader', 'evaluator', 'cfg'):
        cfg[f'test_{part}'] = cfg[f'val_{part}']
    return cfg


def classification(folder, changes=None, names=tuple(COLORS)):
    """Return the config of a run over :func:`photos`, without guidance."""
    dataset = dict(
        type='CustomDataset',
        data_prefix=str(folder),
        pipeline=[LOAD, dict(type='PackInputs')],
    )
    cfg = toy.classification(folder.parent / f'run_{folder.name}')
    cfg['model'].update(guidance=None)
    cfg['model']['head']['num_classes'] = len(names)
    cfg['model']['data_preprocessor']['num_classes'] = len(names)
    cfg['custom_hooks'] = []
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader']['dataset'] = dict(dataset)
    return _with_test(toy._merge(cfg, changes or {}))


def segmentation(folder, changes=None, classes=tuple(COLORS)):
    """Return the config of a run over :func:`masks`, without guidance."""
    dataset = dict(
        type='BaseSegDataset',
        data_root=str(folder),
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        img_suffix='.png',
        metainfo=dict(classes=list(classes)),
    )
    cfg = toy.segmentation(folder.parent / f'run_{folder.name}')
    cfg['model'].update(guidance=None)
    for head in (cfg['model']['decode_head'], *cfg['model']['auxiliary_head']):
        head['num_classes'] = len(classes)
    cfg['custom_hooks'] = []
    train = [LOAD, ANNOTATIONS, RESIZE, PACK]
    for split, pipeline in (('train', train), ('val', TEST_PIPELINE)):
        cfg[f'{split}_dataloader']['dataset'] = dict(
            dataset, pipeline=pipeline
        )
    return _with_test(toy._merge(cfg, changes or {}))


def sentence(cfg, training=True):
    """Return the sentence of the preflight, or '' if it has none."""
    cfg = cfg if isinstance(cfg, Config) else Config(cfg)
    try:
        preflight(cfg, training)
    except UsageError as error:
        return str(error)
    return ''
