"""Whole runs of ``train`` and ``test`` on tiny models."""

import json
import os
import pickle
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmdavpt.cli import test, train
from mmdavpt.cli.messages import run_command

ROOT = Path(__file__).parents[2]
ADE20K = str(ROOT / 'configs/setr_davpt_ade20k.py')
CUB = str(ROOT / 'configs/fgvc/in21k/davpt_vit-b-in21k_cub.py')
FOLDER = str(ROOT / 'configs/recommended/classification.py')


@pytest.mark.parametrize(
    'command, argv, sentence',
    [
        (train, ['setr_davpt_ade2k.py'], 'similar ones are .*davpt_ade20k.py'),
        (train, [ADE20K], 'pre-trained weights .* docs/weights.md'),
        (train, [ADE20K, '--cfg-options', 'modl.x=1'], 'did you mean `model`'),
        (test, [ADE20K, 'no.pth'], 'the checkpoint no.pth does not exist'),
        (
            train,
            [FOLDER, '--no-check', '--work-dir', f'{__file__}/a'],
            r'Not a directory: .*test_runs.py/a',
        ),
        (train, [ADE20K, '--resume', 'a.pth'], 'to resume from a.pth does no'),
        (
            train,
            [
                CUB,
                '--cfg-options',
                'load_from=no.pth',
                'model.backbone.init_cfg=None',
            ],
            '`load_from` no.pth does not',
        ),
        (
            train,
            [FOLDER, '--cfg-options', 'model.backbone.init_cfg=None'],
            'train_dataloader.dataset: .* data/images/train',
        ),
    ],
)
def test_mistakes_end_in_one_line(
    command, argv, sentence, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_info:
        run_command(command, argv)
    assert exit_info.value.code == 2
    message = capsys.readouterr().err
    assert len(message.splitlines()) == 1
    assert re.search(sentence, message), message
    files = {path.name for path in tmp_path.rglob('*') if path.is_file()}
    assert files <= {'error.log'}


def test_missing_test_data_ends_in_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('some.pth').touch()
    with pytest.raises(SystemExit):
        run_command(test, [ADE20K, 'some.pth'])
    message = capsys.readouterr().err
    assert 'test_dataloader.dataset ' in message
    assert 'data/ade/ADEChallengeData2016' in message


@pytest.mark.parametrize(
    'metrics, tta, line',
    [
        (
            {'aAcc': 80.1, 'mIoU': 45.104, 'mAcc': 57.0},
            False,
            'mIoU-SS 45.10 | mAcc 57.00 | aAcc 80.10',
        ),
        ({'mIoU': 45.104}, True, 'mIoU-MS 45.10'),
        (
            {'z': 1, 'accuracy/top5': 98.0, 'accuracy/top1': 90.2},
            True,
            'top-1 (TTA) 90.20 | top-5 (TTA) 98.00 | z 1.00',
        ),
        # Results with several numbers are left out.
        (
            {'accuracy/top1': 90.2, 'result': torch.eye(3), 'f1': [1.0, 2.0]},
            False,
            'top-1 90.20',
        ),
    ],
)
def test_summary_line(metrics, tta, line):
    assert test.summary_line(metrics, tta) == line


CLASSIFICATION = """
default_scope = 'mmpretrain'
randomness = dict(seed=0)
data_preprocessor = dict(
    num_classes=62, mean=[127.5] * 3, std=[64.0] * 3, to_rgb=True)
model = dict(
    type='mmdavpt.DAVPTImageClassifier',
    backbone=dict(
        type='mmdavpt.DAVPTVisionTransformer',
        arch=dict(
            embed_dims=32, num_layers=2, num_heads=2,
            feedforward_channels=64),
        img_size=48, patch_size=16, num_prompts=3),
    head=dict(
        type='LinearClsHead', num_classes=62, in_channels=32,
        loss=dict(type='CrossEntropyLoss')),
    guidance=dict(loss=dict(type='mmdavpt.DAVPTLoss')))
custom_hooks = [dict(type='mmdavpt.PromptMappingHook')]
dataset = dict(
    type='mmdavpt.GlyphDataset', chars='latin', style='clean',
    faces='latin_train', pipeline=[dict(type='PackInputs')])
loader = dict(
    batch_size=8, num_workers=0, collate_fn=dict(type='default_collate'))
train_dataloader = dict(
    **loader, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**dataset, seed=0, num_images=64))
val_dataloader = dict(
    **loader, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, seed=1, num_images=16))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
train_cfg = dict(by_epoch=True, max_epochs=1)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3))
default_hooks = dict(logger=dict(type='LoggerHook'))
tta_pipeline = [
    dict(type='TestTimeAug', transforms=[
        [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],
        [dict(type='PackInputs')]])]
"""


def test_train_and_test_a_classifier(tmp_path, capsys):
    config = tmp_path / 'tiny_cls.py'
    config.write_text(CLASSIFICATION)
    work_dir = tmp_path / 'work'
    run_command(train, [str(config), '--work-dir', str(work_dir), '--amp'])
    weights = str(work_dir / 'epoch_1.pth')
    metrics_file, predictions = tmp_path / 'm.json', tmp_path / 'p.pkl'
    capsys.readouterr()

    # A test leaves the config that the training wrote as it is.
    written = work_dir / config.name
    before = written.read_text()
    argv = [str(written), weights, '--work-dir', str(work_dir), '--out']
    pictures = tmp_path / 'pictures'
    run_command(test, [*argv, str(metrics_file), '--show-dir', str(pictures)])
    metrics = json.loads(metrics_file.read_text())
    assert capsys.readouterr().out.splitlines()[-1] == (
        f'top-1 {metrics["accuracy/top1"]:.2f} | '
        f'top-5 {metrics["accuracy/top5"]:.2f}'
    )
    assert len(list(pictures.glob('*.png'))) == 16

    run_command(test, [*argv, str(predictions), '--tta'])
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith('top-1 (TTA) ')
    assert written.read_text() == before
    assert list(work_dir.glob(f'*/{config.name}'))  # of the tests
    scores = [s['pred_score'] for s in pickle.loads(predictions.read_bytes())]
    assert len(scores) == 16
    assert all(abs(float(s.sum()) - 1) < 1e-5 for s in scores)

    other = tmp_path / 'other.pth'
    torch.save(dict(state_dict={'head.fc.bias': torch.zeros(62)}), other)
    with pytest.raises(SystemExit) as exit_info:
        run_command(
            test, [str(config), str(other), '--work-dir', str(tmp_path)]
        )
    assert exit_info.value.code == 2
    assert 'another config' in capsys.readouterr().err


SEGMENTATION = """
_base_ = [
    '{configs}/_base_/models/davpt-vit-l_setr-pup.py',
    '{configs}/_base_/datasets/ade20k_512x512.py',
    '{configs}/_base_/schedules/setr_sgd_80k.py',
    '{configs}/_base_/default_runtime_seg.py']
small = dict(in_channels=32, channels=8)
model = dict(
    data_preprocessor=dict(size=(32, 32)),
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=32, num_layers=4, num_heads=2,
            feedforward_channels=64),
        img_size=32, num_prompts=3, out_indices=(0, 1, 2, 3)),
    decode_head=small,
    auxiliary_head=[
        dict({{**_base_.aux_head, **small}}, in_index=i, num_classes=150)
        for i in range(3)],
    test_cfg=dict(crop_size=(32, 32), stride=(21, 21)))
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(32, 32)), dict(type='PackSegInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 48)),
    dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='Resize', scale=(64, 48)),
         dict(type='Resize', scale=(32, 24))],
        [dict(type='RandomFlip', prob=1., direction='horizontal')],
        [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]])]
few = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(
    **few, dataset=dict(data_root='{data}', pipeline=train_pipeline))
val_dataloader = dict(
    **few, dataset=dict(data_root='{data}', pipeline=test_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(max_iters=4, val_interval=4)
default_hooks = dict(checkpoint=dict(interval=4))
"""


def write_scenes(root):
    """Write noise and its annotations in the layout of ADE20K."""
    rng = np.random.default_rng(0)
    for split, number in (('training', 8), ('validation', 3)):
        for kind in ('images', 'annotations'):
            (root / kind / split).mkdir(parents=True)
        for i in range(number):
            image = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            labels = rng.integers(0, 5, (48, 64), dtype=np.uint8)
            Image.fromarray(image).save(root / f'images/{split}/{i}.jpg')
            Image.fromarray(labels).save(root / f'annotations/{split}/{i}.png')


def free_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


def test_train_a_segmentor_on_two_cpu_processes_then_test_it(tmp_path, capsys):
    data, work_dir = tmp_path / 'ade', tmp_path / 'work'
    write_scenes(data)
    config = tmp_path / 'tiny_seg.py'
    config.write_text(SEGMENTATION.format(configs=ROOT / 'configs', data=data))
    done = subprocess.run(
        [ROOT / 'tools/dist_train.sh', config, '2', '--work-dir', work_dir],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,  # the package is found from any folder
        env={
            **os.environ,
            'PYTHON': sys.executable,
            'PORT': str(free_port()),
            'OMP_NUM_THREADS': '1',
        },
    )
    assert done.returncode == 0, done.stdout[-3000:]
    before = done.stdout.partition('Iter(train)')[0].splitlines()
    assert len(before) <= 40, done.stdout
    assert sum(line.endswith('Summary:') for line in before) == 1
    (log,) = work_dir.glob('*/*.log')
    assert 'Could not import OneDL' not in done.stdout
    assert 'leaked' not in done.stdout  # what nanobind says at an exit
    for note in ('System environment', 'Config:'):
        assert note not in done.stdout and note in log.read_text()
    capsys.readouterr()

    argv = [str(config), str(work_dir / 'iter_4.pth')]
    argv += ['--work-dir', str(work_dir)]
    run_command(test, [*argv, '--out', str(tmp_path / 'maps')])
    assert capsys.readouterr().out.splitlines()[-1].startswith('mIoU-SS ')
    maps = sorted((tmp_path / 'maps').glob('*.png'))
    assert [m.name for m in maps] == ['0.png', '1.png', '2.png']
    # In ADE20K's label maps 0 is unlabelled, and no model predicts it.
    assert all(np.asarray(Image.open(m)).min() >= 1 for m in maps)

    # mmengine takes one visualizer for runs that start in the same second.
    argv += ['--cfg-options', 'visualizer.name=second']
    run_command(
        test, [*argv, '--tta', '--show-dir', str(tmp_path / 'pictures')]
    )
    assert capsys.readouterr().out.splitlines()[-1].startswith('mIoU-MS ')
    assert len(list((tmp_path / 'pictures').rglob('test_*.png'))) == 3
