"""The command line tools: arguments, priorities, sentences, whole runs."""

import importlib.util
import json
import os
import pickle
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmdavpt.cli import common as cli
from mmdavpt.cli import launch
from mmdavpt.errors import UsageError

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / 'tools'
ADE20K = str(ROOT / 'configs/setr_davpt_ade20k.py')
CUB = str(ROOT / 'configs/fgvc/in21k/davpt_vit-b-in21k_cub.py')
FOLDER = str(ROOT / 'configs/recommended/davpt_image_folder.py')


def load_tool(name):
    spec = importlib.util.spec_from_file_location(
        f'tool_{name}', TOOLS / f'{name}.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


train, test = load_tool('train'), load_tool('test')


def train_cfg(*argv):
    args = train.parse_args(argv)
    cfg = cli.load_config(args.config, args.cfg_options)
    return cli.apply_command_line(cfg, args)


def test_cfg(*argv):
    args = test.parse_args(argv)
    cfg = cli.load_config(args.config, args.cfg_options)
    return cli.apply_command_line(cfg, args)


test_cfg.__test__ = False


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'some.pth'
    path.touch()
    return str(path)


# ---- arguments and priorities ----


def test_train_arguments():
    args = train.parse_args(
        [
            'c.py',
            '--work-dir',
            'w',
            '--resume',
            '--amp',
            '--launcher',
            'pytorch',
            '--local-rank',
            '1',
            '--cfg-options',
            'a.b=[1,2]',
            'c=x',
        ]
    )
    assert args.config == 'c.py' and args.work_dir == 'w' and args.amp
    assert args.resume == 'auto' and args.launcher == 'pytorch'
    assert args.local_rank == 1
    assert args.cfg_options == {'a.b': [1, 2], 'c': 'x'}
    assert train.parse_args(['c.py', '--resume', 'k.pth']).resume == 'k.pth'
    assert train.parse_args(['c.py']).resume is None
    assert train.parse_args(['c.py', '--local_rank', '2']).local_rank == 2


def test_test_arguments():
    args = test.parse_args(
        [
            'c.py',
            'k.pth',
            '--tta',
            '--out',
            'o',
            '--show',
            '--show-dir',
            's',
            '--wait-time',
            '0.5',
            '--work-dir',
            'w',
        ]
    )
    assert args.checkpoint == 'k.pth' and args.tta and args.show
    assert (args.out, args.show_dir, args.wait_time) == ('o', 's', 0.5)
    with pytest.raises(SystemExit):
        test.parse_args(['c.py'])


def test_config_alone():
    cfg = train_cfg(ADE20K)
    assert cfg.work_dir == './work_dirs/setr_davpt_ade20k'
    assert cfg.launcher == 'none'
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    assert not cfg.get('resume') and not cfg.get('load_from')


def test_options_beat_the_config_and_flags_beat_both(checkpoint):
    options = [
        '--cfg-options',
        'work_dir=from_options',
        'resume=True',
        'optim_wrapper.optimizer.lr=0.5',
        'train_cfg.max_iters=7',
    ]
    cfg = train_cfg(ADE20K, *options)
    assert cfg.work_dir == 'from_options' and cfg.resume is True
    assert cfg.optim_wrapper.optimizer.lr == 0.5
    assert cfg.train_cfg.max_iters == 7
    cfg = train_cfg(
        ADE20K,
        '--work-dir',
        'from_flag',
        '--resume',
        checkpoint,
        '--amp',
        *options,
        'load_from=other.pth',
        'optim_wrapper.type=OptimWrapper',
    )
    assert cfg.work_dir == 'from_flag'
    assert cfg.resume is True and cfg.load_from == checkpoint
    assert 'Amp' in cfg.optim_wrapper.type
    options = ['--cfg-options', 'load_from=other.pth', 'launcher=mpi']
    cfg = test_cfg(ADE20K, checkpoint, *options)
    assert cfg.load_from == checkpoint and cfg.launcher == 'mpi'
    cfg = test_cfg(ADE20K, checkpoint, '--launcher', 'slurm', *options)
    assert cfg.launcher == 'slurm'


def test_options_reach_into_lists():
    cfg = train_cfg(
        ADE20K, '--cfg-options', 'model.auxiliary_head.1.num_convs=3'
    )
    assert [h.num_convs for h in cfg.model.auxiliary_head] == [2, 3, 2]


def test_options_do_not_change_their_argument():
    options = {'model': {'backbone': {'num_prompts': 3}}}
    cli.load_config(ADE20K, options)
    assert options == {'model': {'backbone': {'num_prompts': 3}}}


# ---- resume ----


def save_resumable(path):
    content = dict(meta=dict(epoch=0, iter=3), state_dict={}, optimizer={})
    torch.save(dict(content, message_hub={}), path)


def test_resume_without_a_checkpoint_says_so(tmp_path, capsys):
    cfg = train_cfg(ADE20K, '--resume', '--work-dir', str(tmp_path))
    assert cfg.resume is False
    said = capsys.readouterr().err
    assert str(tmp_path) in said and 'starts from the beginning' in said


def test_a_first_start_with_resume_keeps_the_weights_to_start_from(
    tmp_path, capsys
):
    cfg = cli.load_config(ADE20K, {'load_from': 'pre.pth'})
    cfg.work_dir = str(tmp_path)
    cli.set_resume(cfg, 'auto')
    assert cfg.resume is False and cfg.load_from == 'pre.pth'
    assert 'the training starts from pre.pth' in capsys.readouterr().err


def test_resume_from_the_last_checkpoint(tmp_path, checkpoint):
    save_resumable(checkpoint)
    (tmp_path / 'last_checkpoint').write_text(checkpoint)
    cfg = train_cfg(ADE20K, '--resume', '--work-dir', str(tmp_path))
    assert cfg.resume is True and cfg.load_from == checkpoint


def test_resume_in_a_moved_folder(tmp_path, checkpoint):
    save_resumable(checkpoint)
    (tmp_path / 'last_checkpoint').write_text('/old/place/some.pth')
    cfg = train_cfg(ADE20K, '--resume', '--work-dir', str(tmp_path))
    assert cfg.load_from == checkpoint


def test_resume_passes_over_what_is_damaged_and_says_so(
    tmp_path, checkpoint, capsys
):
    (tmp_path / 'last_checkpoint').write_text(checkpoint)
    with pytest.raises(UsageError, match='has no checkpoint that can be res'):
        train_cfg(ADE20K, '--resume', '--work-dir', str(tmp_path))
    save_resumable(tmp_path / 'iter_3.pth')
    cfg = train_cfg(ADE20K, '--resume', '--work-dir', str(tmp_path))
    assert cfg.load_from == str(tmp_path / 'iter_3.pth')
    said = capsys.readouterr().err
    assert f'warning: --resume: {checkpoint} should be a checkpoint' in said
    assert f'going on from {tmp_path / "iter_3.pth"} of iteration 3' in said


def test_resume_from_a_missing_checkpoint():
    with pytest.raises(UsageError, match='to resume from no.pth does not'):
        train_cfg(ADE20K, '--resume', 'no.pth')


# ---- mixed precision ----


@pytest.mark.parametrize(
    'gpu,kind',
    [(True, 'AmpOptimWrapper'), (False, 'mmdavpt.CpuAmpOptimWrapper')],
)
def test_amp(monkeypatch, gpu, kind):
    monkeypatch.setattr(launch, 'has_accelerator', lambda: gpu)
    cfg = Config(dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0))))
    cli.enable_amp(cfg)
    assert cfg.optim_wrapper.type == kind
    assert cfg.optim_wrapper.get('loss_scale') == ('dynamic' if gpu else None)
    assert cfg.optim_wrapper.optimizer.lr == 1.0


def test_amp_on_a_cpu_drops_what_only_a_gpu_has(monkeypatch):
    monkeypatch.setattr(launch, 'has_accelerator', lambda: False)
    cfg = Config(
        dict(
            optim_wrapper=dict(
                type='AmpOptimWrapper', loss_scale=512.0, dtype='float16'
            )
        )
    )
    cli.enable_amp(cfg)
    assert cfg.optim_wrapper == dict(type='mmdavpt.CpuAmpOptimWrapper')


def test_amp_keeps_a_loss_scale(monkeypatch):
    monkeypatch.setattr(launch, 'has_accelerator', lambda: True)
    cfg = Config(dict(optim_wrapper=dict(loss_scale=512.0)))
    cli.enable_amp(cfg)
    assert cfg.optim_wrapper.loss_scale == 512.0


def test_amp_refuses_another_wrapper():
    cfg = Config(dict(optim_wrapper=dict(type='MyWrapper')))
    with pytest.raises(UsageError, match="`optim_wrapper.type` is 'MyWrapper"):
        cli.enable_amp(cfg)


# ---- test-time augmentation, outputs, pictures ----


def test_tta_of_segmentation(checkpoint):
    cfg = test_cfg(ADE20K, checkpoint, '--tta')
    assert cfg.model.type == 'mmdavpt.RunningSegTTAModel'
    assert cfg.model.module.type == 'mmdavpt.DAVPTEncoderDecoder'
    assert cfg.test_dataloader.dataset.pipeline == cfg.tta_pipeline


def test_tta_of_classification(checkpoint):
    cfg = test_cfg(CUB, checkpoint, '--tta')
    assert cfg.model.type == 'AverageClsScoreTTA'
    assert cfg.test_dataloader.dataset.pipeline == cfg.tta_pipeline
    cfg = cli.load_config(CUB)
    cfg.pop('tta_model')
    cli.use_tta(cfg)
    assert cfg.model.type == 'mmpretrain.AverageClsScoreTTA'


def test_tta_reaches_into_dataset_wrappers():
    cfg = cli.load_config(CUB)
    cfg.test_dataloader.dataset = dict(
        type='KFoldDataset', dataset=cfg.test_dataloader.dataset
    )
    cli.use_tta(cfg)
    inner = cfg.test_dataloader.dataset.dataset
    assert inner.pipeline == cfg.tta_pipeline


@pytest.mark.parametrize('config', [ADE20K, CUB])
def test_tta_without_a_pipeline(config):
    cfg = cli.load_config(config)
    cfg.pop('tta_pipeline')
    with pytest.raises(UsageError, match='--tta needs a `tta_pipeline`'):
        cli.use_tta(cfg)


def test_tta_of_segmentation_without_a_model():
    cfg = cli.load_config(ADE20K)
    cfg.pop('tta_model')
    with pytest.raises(UsageError, match='SegTTAModel'):
        cli.use_tta(cfg)


def test_out_of_segmentation_is_a_folder(tmp_path, checkpoint):
    out = tmp_path / 'maps'
    cfg = test_cfg(ADE20K, checkpoint, '--out', str(out))
    assert cfg.test_evaluator.output_dir == str(out)
    assert out.is_dir()
    assert cli.metrics_file(cfg, str(out)) is None
    with pytest.raises(UsageError, match='is a folder'):
        test_cfg(ADE20K, checkpoint, '--out', 'metrics.json')
    cfg.test_evaluator = [dict(type='DepthMetric')]
    with pytest.raises(UsageError, match='DepthMetric'):
        cli.write_predictions(cfg, str(out))


def test_out_of_classification_is_a_file(checkpoint):
    cfg = test_cfg(CUB, checkpoint, '--out', 'p.pkl')
    assert [e.type for e in cfg.test_evaluator] == ['Accuracy', 'DumpResults']
    assert cli.metrics_file(cfg, 'p.pkl') is None
    cfg = test_cfg(CUB, checkpoint, '--out', 'm.json')
    assert cfg.test_evaluator.type == 'Accuracy'
    assert cli.metrics_file(cfg, 'm.json') == 'm.json'
    with pytest.raises(UsageError, match=r'ends in .pkl .* but got folder'):
        test_cfg(CUB, checkpoint, '--out', 'folder')


def test_show_of_segmentation(checkpoint):
    cfg = test_cfg(ADE20K, checkpoint, '--show-dir', 'pictures')
    hook = cfg.default_hooks.visualization
    assert (hook.draw, hook.show) == (True, False)
    assert cfg.visualizer.save_dir == 'pictures'
    cfg = test_cfg(ADE20K, checkpoint, '--show', '--wait-time', '3')
    hook = cfg.default_hooks.visualization
    assert (hook.draw, hook.show, hook.wait_time) == (True, True, 3.0)


def test_show_of_classification(checkpoint):
    cfg = test_cfg(CUB, checkpoint, '--show-dir', 'pictures')
    hook = cfg.default_hooks.visualization
    assert (hook.enable, hook.show, hook.out_dir) == (True, False, 'pictures')
    assert hook.interval == 1


@pytest.mark.parametrize(
    'config,kind',
    [(ADE20K, 'SegVisualizationHook'), (CUB, "'VisualizationHook'")],
)
def test_show_without_the_hook(config, kind):
    cfg = cli.load_config(config)
    del cfg.default_hooks['visualization']
    with pytest.raises(UsageError, match=kind):
        cli.draw_predictions(cfg, True, None, 2)


# ---- launchers ----


def test_no_launcher_changes_nothing(monkeypatch):
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    cfg = Config(dict(launcher='none', model=dict()))
    cli.prepare_launcher(cfg, local_rank=3)
    assert os.environ['LOCAL_RANK'] == '3'
    assert 'model_wrapper_cfg' not in cfg


def test_launcher_without_torchrun(monkeypatch):
    for name in launch.TORCHRUN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match='tools/dist_train.sh'):
        cli.prepare_launcher(Config(dict(launcher='pytorch', model=dict())))


def test_a_gpu_run_is_left_to_mmengine(monkeypatch):
    monkeypatch.setattr(launch, 'has_accelerator', lambda: True)
    for name in launch.TORCHRUN_VARIABLES:
        monkeypatch.setenv(name, '0')
    cfg = cli.load_config(ADE20K)
    cfg.launcher = 'pytorch'
    cli.prepare_launcher(cfg)
    assert 'model_wrapper_cfg' not in cfg
    assert cfg.model.decode_head.norm_cfg.type == 'SyncBN'
    assert not torch.distributed.is_initialized()


def test_cpu_wrapper_replaces_sync_bn_everywhere():
    cfg = cli.load_config(
        ADE20K, {'find_unused_parameters': True, 'sync_bn': 'torch'}
    )
    cfg.model.auxiliary_head[2].norm_cfg.type = 'MMSyncBN'
    launch.use_cpu_wrapper(cfg)
    heads = [cfg.model.decode_head, *cfg.model.auxiliary_head]
    assert [h.norm_cfg.type for h in heads] == ['BN'] * 4
    assert all(h.norm_cfg.requires_grad for h in heads)
    assert cfg.model_wrapper_cfg == dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=True,
    )
    assert 'sync_bn' not in cfg


# ---- the last line ----


def test_summary_of_segmentation():
    metrics = {'aAcc': 80.1, 'mIoU': 45.104, 'mAcc': 57.0}
    assert (
        cli.summary_line(metrics, tta=False)
        == 'mIoU-SS 45.10 | mAcc 57.00 | aAcc 80.10'
    )
    assert cli.summary_line(metrics, tta=True).startswith('mIoU-MS 45.10 |')


def test_summary_leaves_out_what_is_no_number():
    metrics = {
        'accuracy/top1': 90.2,
        'confusion_matrix/result': torch.eye(3),
        'single-label/f1-score_classwise': [1.0, 2.0],
    }
    assert cli.summary_line(metrics, tta=False) == 'top-1 90.20'


def test_summary_of_classification():
    metrics = {'accuracy/top5': 98.0, 'accuracy/top1': 90.2}
    assert cli.summary_line(metrics, tta=False) == 'top-1 90.20 | top-5 98.00'
    assert (
        cli.summary_line(metrics, tta=True)
        == 'top-1 (TTA) 90.20 | top-5 (TTA) 98.00'
    )


# ---- sentences ----


@pytest.mark.parametrize(
    'tool,argv,sentence',
    [
        (train, ['setr_davpt_ade2k.py'], 'similar ones are .*davpt_ade20k.py'),
        (train, [ADE20K], 'pre-trained weights .* docs/weights.md'),
        (train, [ADE20K, '--cfg-options', 'modl.x=1'], 'did you mean `model`'),
        (test, [ADE20K, 'no.pth'], 'the checkpoint no.pth does not exist'),
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
            'train_dataloader.dataset reads data/images, .*data_root',
        ),
    ],
)
def test_mistakes_end_in_one_line(
    tool, argv, sentence, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_info:
        tool.main(argv)
    assert exit_info.value.code == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert re.search(sentence, said), said
    assert list(tmp_path.iterdir()) == []


def test_test_checks_the_test_data(checkpoint, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        test.main([ADE20K, checkpoint])
    said = capsys.readouterr().err
    assert 'test_dataloader.dataset reads data/ade/ADEChallengeData2016' in (
        said
    )


def test_a_signal_while_the_config_is_checked(monkeypatch, capsys):
    monkeypatch.setattr(
        cli,
        'check_files',
        lambda cfg, training: os.kill(os.getpid(), signal.SIGTERM),
    )
    train.main([ADE20K])
    assert capsys.readouterr().err == (
        'The training was stopped by SIGTERM while no iteration was under '
        'way, so nothing is lost: start it again with --resume to go on.\n'
    )


# ---- shell scripts ----


SCRIPTS = ('dist_train', 'dist_test', 'slurm_train', 'slurm_test')


@pytest.mark.parametrize('name', SCRIPTS)
def test_scripts_are_executable_and_say_how_to_use_them(name):
    path = TOOLS / f'{name}.sh'
    assert path.stat().st_mode & stat.S_IXUSR
    done = subprocess.run([path], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith('usage: ')


@pytest.mark.parametrize(
    'name,given,tool',
    [
        ('dist_train', ['c f.py', '2'], ['c f.py', '--launcher', 'pytorch']),
        (
            'dist_test',
            ['c f.py', 'k.pth', '2'],
            ['c f.py', 'k.pth', '--launcher', 'pytorch'],
        ),
        (
            'slurm_train',
            ['part', 'job', 'c f.py'],
            ['c f.py', '--launcher', 'slurm'],
        ),
        (
            'slurm_test',
            ['part', 'job', 'c f.py', 'k.pth'],
            ['c f.py', 'k.pth', '--launcher', 'slurm'],
        ),
    ],
)
def test_scripts_hand_arguments_on(name, given, tool, tmp_path):
    """Words with spaces stay whole, from any folder."""
    show = '#!/bin/sh\nfor word; do echo "$word"; done\n'
    for program in ('fake', 'srun'):
        (tmp_path / program).write_text(show)
        (tmp_path / program).chmod(0o755)
    rest = ['--cfg-options', 'a="x y"']
    done = subprocess.run(
        [TOOLS / f'{name}.sh', *given, *rest],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={
            **os.environ,
            'PATH': f'{tmp_path}:{os.environ["PATH"]}',
            'PYTHON': str(tmp_path / 'fake'),
            'GPUS': '6',
            'SRUN_ARGS': '--quiet --exclusive',
        },
    )
    words = done.stdout.splitlines()
    script = str(TOOLS / f'{name.split("_")[1]}.py')
    assert words[words.index(script) + 1 :] == [*tool, *rest]
    expected = {'--nproc_per_node=2'}
    if name.startswith('slurm'):
        expected = {
            '--partition=part',
            '--job-name=job',
            '--ntasks=6',
            '--quiet',
            '--exclusive',
        }
    assert expected <= set(words)


# ---- whole runs on tiny models ----

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
default_hooks = dict(
    logger=dict(type='LoggerHook'),
    visualization=dict(type='VisualizationHook'))
visualizer = dict(type='UniversalVisualizer')
tta_pipeline = [
    dict(type='TestTimeAug', transforms=[
        [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],
        [dict(type='PackInputs')]])]
"""


def test_train_and_test_a_classifier(tmp_path, capsys):
    config = tmp_path / 'tiny_cls.py'
    config.write_text(CLASSIFICATION)
    work_dir = tmp_path / 'work'
    train.main([str(config), '--work-dir', str(work_dir), '--amp'])
    weights = str(work_dir / 'epoch_1.pth')
    metrics_file, predictions = tmp_path / 'm.json', tmp_path / 'p.pkl'
    common = [str(config), weights, '--work-dir', str(work_dir)]
    capsys.readouterr()

    # By the config that the training left, which a test leaves as it is.
    record = work_dir / config.name
    before = record.read_text()
    common[0] = str(record)
    test.main(
        [
            *common,
            '--out',
            str(metrics_file),
            '--show-dir',
            str(tmp_path / 'pictures'),
        ]
    )
    last = capsys.readouterr().out.splitlines()[-1]
    metrics = json.loads(metrics_file.read_text())
    assert last == (
        f'top-1 {metrics["accuracy/top1"]:.2f} | '
        f'top-5 {metrics["accuracy/top5"]:.2f}'
    )
    assert len(list((tmp_path / 'pictures').glob('*.png'))) == 16

    test.main([*common, '--out', str(predictions), '--tta'])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith('top-1 (TTA) ')
    assert record.read_text() == before
    assert list(work_dir.glob(f'*/{config.name}'))  # of the tests
    scores = [s['pred_score'] for s in pickle.loads(predictions.read_bytes())]
    assert len(scores) == 16
    assert all(abs(float(s.sum()) - 1) < 1e-5 for s in scores)


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


@pytest.mark.skipif(torch.cuda.is_available(), reason='is about CPUs')
def test_train_a_segmentor_on_two_cpu_processes_then_test_it(tmp_path, capsys):
    data, work_dir = tmp_path / 'ade', tmp_path / 'work'
    write_scenes(data)
    config = tmp_path / 'tiny_seg.py'
    config.write_text(SEGMENTATION.format(configs=ROOT / 'configs', data=data))
    done = subprocess.run(
        [TOOLS / 'dist_train.sh', config, '2', '--work-dir', work_dir],
        capture_output=True,
        text=True,
        cwd=tmp_path,  # the package is found from any folder
        env={
            **os.environ,
            'PYTHON': sys.executable,
            'PORT': str(free_port()),
            'OMP_NUM_THREADS': '1',
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    weights = work_dir / 'iter_4.pth'
    assert weights.is_file()
    capsys.readouterr()

    common = [str(config), str(weights), '--work-dir', str(work_dir)]
    test.main([*common, '--out', str(tmp_path / 'maps')])
    assert capsys.readouterr().out.splitlines()[-1].startswith('mIoU-SS ')
    maps = sorted((tmp_path / 'maps').glob('*.png'))
    assert [m.name for m in maps] == ['0.png', '1.png', '2.png']
    # As ADE20K stores them: 0 is nothing, and no model predicts it.
    assert all(np.asarray(Image.open(m)).min() >= 1 for m in maps)

    test.main([*common, '--tta', '--show-dir', str(tmp_path / 'pictures')])
    assert capsys.readouterr().out.splitlines()[-1].startswith('mIoU-MS ')
    assert len(list((tmp_path / 'pictures').rglob('test_*.png'))) == 3


def test_a_checkpoint_of_another_config_is_refused(tmp_path, capsys):
    config = tmp_path / 'tiny_cls2.py'
    config.write_text(CLASSIFICATION)
    weights = tmp_path / 'other.pth'
    torch.save(dict(state_dict={'head.fc.bias': torch.zeros(62)}), weights)
    with pytest.raises(SystemExit) as exit_info:
        test.main([str(config), str(weights), '--work-dir', str(tmp_path)])
    assert exit_info.value.code == 2
    assert 'was made with another config' in capsys.readouterr().err
