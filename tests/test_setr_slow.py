"""The real ADE20K config at its real size, with random weights."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.dataset_converters.glyph_writers import write_scenes_ade20k

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_setr_davpt_ade20k_trains_and_tests(tmp_path):
    """ViT-L/16 at 512x512: two iterations, one image by slide inference."""
    data = tmp_path / 'scenes'
    for seed, (split, number) in enumerate(
        dict(training=4, validation=1).items()
    ):
        write_scenes_ade20k(
            str(data), split, number, seed=seed, size=(512, 683)
        )
    config = str(ROOT / 'configs' / 'setr_davpt_ade20k.py')
    options = [
        f'{split}_dataloader.{key}'
        for split in ('train', 'val', 'test')
        for key in (
            f'dataset.data_root={data}',
            'num_workers=0',
            'persistent_workers=False',
        )
    ] + ['model.backbone.init_cfg=None']
    training = options + [
        'train_dataloader.batch_size=2',
        'train_cfg.max_iters=2',
        'train_cfg.val_interval=100',
        'default_hooks.checkpoint.interval=2',
        'default_hooks.logger.interval=1',
    ]
    env = dict(os.environ, OMP_NUM_THREADS=str(os.cpu_count()))

    def run(*args):
        done = subprocess.run(
            [sys.executable, *args],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    log = run(
        str(ROOT / 'tools' / 'train.py'),
        config,
        '--work-dir',
        'work',
        '--cfg-options',
        *training,
    )
    assert 'Iter(train) [2/2]' in log and 'loss_guidance_token' in log
    assert '13,635,160' in log  # trainable, in the table of parameters
    assert 'Mapping: 150 classes on ' in log
    log = run(
        str(ROOT / 'tools' / 'test.py'),
        config,
        'work/iter_2.pth',
        '--work-dir',
        'work',
        '--cfg-options',
        *options,
    )
    assert 'mIoU-SS' in log
