"""One epoch of each suite's real config, on glyphs in that suite's layout.

Only the size of a config changes: the width of its architecture, crops,
batches and epochs, and the data's folder. Readers, pipelines, protocols,
heads, prompts of each layer, guided layers and losses stay.
"""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, ConfigDict

from mmdavpt.cli import test, train
from mmdavpt.cli.experiment_table import build_config, read_table
from mmdavpt.cli.messages import run_command
from tools.dataset_converters.glyph_writers import (
    write_glyphs_fgvc,
    write_glyphs_vtab1k,
    write_scenes_ade20k,
    write_scenes_pascal_context,
)

CONFIGS = Path(__file__).parents[1] / 'configs'
WIDTH = 16  # channels
CROP = (64, 64)


@pytest.fixture(autouse=True)
def _plain_dumps(monkeypatch):
    """Leave dumped configs unformatted, which takes longer than training."""
    monkeypatch.setattr(
        'yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (text, True)
    )


def dicts_of(node):
    """Return all dicts of a config."""
    if isinstance(node, ConfigDict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for child in node:
            yield from dicts_of(child)


def shrink(cfg, data_root, path):
    """Write a small twin of a config; return its path."""
    for node in dicts_of(cfg._cfg_dict):
        if 'dataset' in node and 'sampler' in node:
            node.update(batch_size=8, num_workers=0, persistent_workers=False)
            node.dataset.data_root = str(data_root)
            if node.dataset.type.startswith('mmdavpt.'):
                node.dataset.check_size = False
    backbone = cfg.model.backbone
    backbone.arch = dict(
        embed_dims=WIDTH,
        num_layers=dict(b=12, l=24)[backbone.arch],
        num_heads=2,
        feedforward_channels=WIDTH,
    )
    backbone.init_cfg = None
    cfg.default_hooks.logger.interval = 1
    if 'head' in cfg.model:
        cfg.model.head.in_channels = WIDTH
        cfg.train_cfg.max_epochs = 1
        # Both parts of the schedule, in one epoch.
        for part in cfg.param_scheduler:
            part.update(begin=0, end=1)
        for protocol in cfg.protocols.values():
            protocol.get('train_cfg', {}).pop('val_begin', None)
    else:
        shrink_segmentation(cfg)
    lines = [f'{key} = {value!r}\n' for key, value in cfg.to_dict().items()]
    path.write_text(''.join(lines), encoding='utf-8')
    return str(path)


def shrink_segmentation(cfg):
    model = cfg.model
    model.data_preprocessor.size = model.backbone.img_size = CROP
    model.test_cfg.update(crop_size=CROP, stride=(48, 48))
    for head in (model.decode_head, *model.auxiliary_head):
        head.update(in_channels=WIDTH, channels=8)
    for node in dicts_of(cfg._cfg_dict):
        if node.get('type') == 'RandomCrop':
            node.crop_size = CROP
        elif node.get('type') in ('Resize', 'RandomResize'):
            node.scale = (4 * CROP[0], CROP[1])
    cfg.train_dataloader.batch_size = 2
    cfg.val_dataloader.batch_size = cfg.test_dataloader.batch_size = 1
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.default_hooks.checkpoint.interval = 2


def run(tmp_path, config, *flags):
    """Train, and return the log, the last checkpoint and the dumped config."""
    work = tmp_path / 'work'
    run_command(train, [config, '--work-dir', str(work), *flags])
    log = '\n'.join(p.read_text() for p in work.glob('*/*.log'))
    last = Path((work / 'last_checkpoint').read_text().strip())
    dump = Config.fromfile(work / Path(config).name)
    return log, torch.load(last, weights_only=False), dump


def score_line(tmp_path, config, capsys):
    """Test the last checkpoint; return the line that is printed."""
    work = tmp_path / 'work'
    last = (work / 'last_checkpoint').read_text().strip()
    capsys.readouterr()
    run_command(test, [config, last, '--work-dir', str(work)])
    return capsys.readouterr().out.strip().splitlines()[-1]


def write_task(root, task):
    """Write a task of VTAB-1k, and list a few of its images only."""
    write_glyphs_vtab1k(str(root), task, num_test=9, size=24)
    for split, number in (
        ('train800', 24),
        ('val200', 8),
        ('train800val200', 32),
    ):
        path = root / task / f'{split}.txt'
        lines = path.read_text().splitlines()
        path.write_text('\n'.join(lines[:number]) + '\n')


@pytest.mark.parametrize(
    'row, task, classes, protocol, images',
    [
        # 20 prompts, 16 of them without a class.
        ('davpt_vit-b-moco-v3_vtab-kitti', 'kitti', 4, 'tune', 24),
        # Prompts in the last layer only.
        (
            'davpt-plus_vit-b-in21k_vtab-patch_camelyon',
            'patch_camelyon',
            2,
            'retrain',
            32,
        ),
    ],
)
def test_vtab(tmp_path, capsys, row, task, classes, protocol, images):
    write_task(tmp_path / 'tasks', task)
    cfg = build_config(read_table(CONFIGS / 'experiments/vtab.csv')[row])
    config = shrink(cfg, tmp_path / 'tasks', tmp_path / 'twin.py')
    log, checkpoint, dump = run(tmp_path, config, '--protocol', protocol)
    assert dump.protocol == protocol
    assert f'Epoch(train) [1][{images // 8}/{images // 8}]' in log
    assert ('accuracy/top1' in log) == (protocol == 'tune')
    state = checkpoint['state_dict']
    assert state['guidance.mapping'].tolist() == [*range(classes)]
    prompts = [k for k in state if k.startswith('backbone.prompts.')]
    assert len(prompts) == (12 if task == 'kitti' else 1)
    if protocol == 'retrain':
        assert score_line(tmp_path, config, capsys).startswith('top-1 ')


@pytest.mark.parametrize(
    'row, protocol, images, validated',
    [
        ('davpt-plus_vit-b-mae_flowers', 'retrain', 111, 0),
        ('davpt_vit-b-mae_flowers', 'released', 102, 11),
    ],
)
def test_fgvc(tmp_path, capsys, row, protocol, images, validated):
    sizes = dict(train=102, val=9, test=11)
    write_glyphs_fgvc(str(tmp_path / 'flowers'), 'flowers', sizes, size=32)
    cfg = build_config(read_table(CONFIGS / 'experiments/fgvc.csv')[row])
    config = shrink(cfg, tmp_path / 'flowers', tmp_path / 'twin.py')
    log, checkpoint, dump = run(tmp_path, config, '--protocol', protocol)
    assert dump.protocol == protocol
    steps = -(-images // 8)
    assert re.search(rf'Epoch\(train\) +\[1\]\[{steps}/{steps}\]', log)
    assert 'loss_guidance_token' in log and 'loss_guidance_cls' in log
    assert ('accuracy/top1' in log) == (validated > 0)
    assert ('do not report it as a test result' in log) == (validated > 0)
    assert bool([*(tmp_path / 'work').glob('best_*.pth')]) == (validated > 0)
    mapping = checkpoint['state_dict']['guidance.mapping']
    assert mapping.shape == (102,) and mapping.min() >= 0
    assert len(mapping.unique()) == 40  # more classes than prompts
    if not validated:
        assert score_line(tmp_path, config, capsys).startswith('top-1 ')


@pytest.mark.parametrize(
    'name, write, splits, background, classes',
    [
        (
            'setr_davpt_ade20k.py',
            write_scenes_ade20k,
            ('training', 'validation'),
            None,
            150,
        ),
        (
            'setr_davpt-plus_pascal_context.py',
            write_scenes_pascal_context,
            ('train', 'val'),
            0,
            60,
        ),
    ],
)
def test_segmentation(
    tmp_path, capsys, name, write, splits, background, classes
):
    for seed, split in enumerate(splits):
        write(
            str(tmp_path / 'scenes'), split, 4 - 2 * seed, seed=seed, size=CROP
        )
    cfg = Config.fromfile(CONFIGS / name)
    config = shrink(cfg, tmp_path / 'scenes', tmp_path / 'twin.py')
    log, checkpoint, _ = run(tmp_path, config)
    assert 'Iter(train) [2/2]' in log
    state = checkpoint['state_dict']
    assert 'loss_guidance_token' in log and 'loss_guidance_cls' in log
    mapping = state['guidance.mapping']
    assert mapping.shape == (classes,)
    without = (mapping < 0).nonzero().flatten().tolist()
    assert without == ([] if background is None else [background])
    assert score_line(tmp_path, config, capsys).startswith('mIoU-SS ')
