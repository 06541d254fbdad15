"""Flags override options, which override the config."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmdavpt.cli import common, evaluation, launch, options, test, train
from mmdavpt.errors import UsageError

ROOT = Path(__file__).parents[2]
ADE20K = str(ROOT / 'configs/setr_davpt_ade20k.py')
CUB = str(ROOT / 'configs/fgvc/in21k/davpt_vit-b-in21k_cub.py')


def apply(command, *argv):
    """Return the config of a command line."""
    args = options.parse_arguments(command.add_arguments, argv)
    cfg = common.load_config(args.config, args.cfg_options)
    return common.apply_command_line(cfg, args)


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'some.pth'
    path.touch()
    return str(path)


def test_config_alone():
    cfg = apply(train, ADE20K)
    assert cfg.work_dir == './work_dirs/setr_davpt_ade20k'
    assert cfg.launcher == 'none'
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    assert not cfg.get('resume') and not cfg.get('load_from')


def test_options_override_the_config_and_flags_override_both(checkpoint):
    argv = [
        '--cfg-options',
        'work_dir=of the options',
        'resume=True',
        'optim_wrapper.optimizer.lr=0.5',
        'model.auxiliary_head.1.num_convs=3',
    ]
    cfg = apply(train, ADE20K, *argv)
    assert cfg.work_dir == 'of the options' and cfg.resume is True
    assert cfg.optim_wrapper.optimizer.lr == 0.5
    assert [h.num_convs for h in cfg.model.auxiliary_head] == [2, 3, 2]
    flags = ['--work-dir', 'of_flag', '--resume', checkpoint, '--amp']
    argv += ['load_from=other.pth', 'optim_wrapper.type=OptimWrapper']
    cfg = apply(train, ADE20K, *flags, *argv)
    assert cfg.work_dir == 'of_flag'
    assert cfg.resume is True and cfg.load_from == checkpoint
    assert 'Amp' in cfg.optim_wrapper.type
    argv = ['--cfg-options', 'load_from=other.pth', 'launcher=mpi']
    cfg = apply(test, ADE20K, checkpoint, *argv)
    assert cfg.load_from == checkpoint and cfg.launcher == 'mpi'
    cfg = apply(test, ADE20K, checkpoint, '--launcher', 'slurm', *argv)
    assert cfg.launcher == 'slurm'


def test_options_do_not_change_their_argument():
    given = {'model': {'backbone': {'num_prompts': 3}}}
    common.load_config(ADE20K, given)
    assert given == {'model': {'backbone': {'num_prompts': 3}}}


# ---- resume ----


def save_resumable(path):
    content = dict(meta=dict(epoch=0, iter=3), state_dict={}, optimizer={})
    torch.save(dict(content, message_hub={}), path)


def resume(tmp_path, *argv):
    return apply(train, ADE20K, '--resume', '--work-dir', str(tmp_path), *argv)


def test_resume_without_a_checkpoint_starts_with_a_message(tmp_path, capsys):
    cfg = resume(tmp_path)
    assert cfg.resume is False
    message = capsys.readouterr().err
    assert str(tmp_path) in message and 'starts from the beginning' in message
    cfg = resume(tmp_path, '--cfg-options', 'load_from=pre.pth')
    assert cfg.resume is False and cfg.load_from == 'pre.pth'
    assert 'the training starts from pre.pth' in capsys.readouterr().err


@pytest.mark.parametrize('moved', [False, True])
def test_resume_from_the_last_checkpoint(tmp_path, checkpoint, moved):
    save_resumable(checkpoint)
    named = '/old/place/some.pth' if moved else checkpoint
    (tmp_path / 'last_checkpoint').write_text(named)
    cfg = resume(tmp_path)
    assert cfg.resume is True and cfg.load_from == checkpoint


def test_resume_skips_a_damaged_checkpoint_and_warns(
    tmp_path, checkpoint, capsys
):
    (tmp_path / 'last_checkpoint').write_text(checkpoint)
    with pytest.raises(UsageError, match=str(tmp_path)):
        resume(tmp_path)
    save_resumable(tmp_path / 'iter_3.pth')
    assert resume(tmp_path).load_from == str(tmp_path / 'iter_3.pth')
    message = capsys.readouterr().err
    assert f'warning: --resume: {checkpoint}' in message
    assert str(tmp_path / 'iter_3.pth') in message


# ---- mixed precision ----


@pytest.mark.parametrize(
    'gpu, given, expected',
    [
        (True, {}, dict(type='AmpOptimWrapper', loss_scale='dynamic')),
        (
            True,
            dict(loss_scale=512.0),
            dict(type='AmpOptimWrapper', loss_scale=512.0),
        ),
        (False, {}, dict(type='mmdavpt.CpuAmpOptimWrapper')),
        (
            False,
            dict(type='AmpOptimWrapper', loss_scale=512.0, dtype='float16'),
            dict(type='mmdavpt.CpuAmpOptimWrapper'),
        ),
    ],
)
def test_amp(monkeypatch, gpu, given, expected):
    monkeypatch.setattr(launch, 'has_accelerator', lambda: gpu)
    cfg = Config(dict(optim_wrapper=dict(given, optimizer=dict(lr=1.0))))
    launch.enable_amp(cfg)
    assert cfg.optim_wrapper == dict(expected, optimizer=dict(lr=1.0))


def test_amp_rejects_a_custom_wrapper():
    cfg = Config(dict(optim_wrapper=dict(type='MyWrapper')))
    with pytest.raises(UsageError, match="`optim_wrapper.type` is 'MyWrapper"):
        launch.enable_amp(cfg)


# ---- test-time augmentation, outputs, pictures ----


@pytest.mark.parametrize(
    'config, kind, theirs',
    [
        (ADE20K, 'mmdavpt.RunningSegTTAModel', 'SegTTAModel'),
        (CUB, 'mmdavpt.LabelingClsTTAModel', 'mmpretrain.AverageClsScoreTTA'),
    ],
)
def test_tta(config, kind, theirs, checkpoint):
    cfg = apply(test, config, checkpoint, '--tta')
    assert cfg.model.type == kind
    assert cfg.model.module.type.startswith('mmdavpt.DAVPT')
    assert cfg.test_dataloader.dataset.pipeline == cfg.tta_pipeline

    cfg = common.load_config(config)
    cfg.pop('tta_model')
    cfg.test_dataloader.dataset = dict(
        type='Wrapper', dataset=cfg.test_dataloader.dataset
    )
    evaluation.use_tta(cfg)
    assert cfg.model.type == kind
    assert cfg.test_dataloader.dataset.dataset.pipeline == cfg.tta_pipeline

    model, cfg.tta_model = cfg.model.module, dict(type=theirs)
    cfg.model = model
    evaluation.use_tta(cfg)
    assert cfg.model.type == kind

    cfg.pop('tta_pipeline')
    with pytest.raises(UsageError, match='--tta needs a `tta_pipeline`'):
        evaluation.use_tta(cfg)


def test_out_of_segmentation_is_a_folder(tmp_path, checkpoint):
    out = tmp_path / 'maps'
    cfg = apply(test, ADE20K, checkpoint, '--out', str(out))
    assert cfg.test_evaluator.output_dir == str(out)
    assert out.is_dir()
    (tmp_path / 'file').touch()
    with pytest.raises(UsageError, match='--out cannot be written: .*file/a'):
        apply(test, ADE20K, checkpoint, '--out', str(tmp_path / 'file/a'))
    with pytest.raises(UsageError, match='is a folder'):
        apply(test, ADE20K, checkpoint, '--out', 'metrics.json')
    cfg.test_evaluator = [dict(type='DepthMetric')]
    with pytest.raises(UsageError, match='DepthMetric'):
        evaluation.write_predictions(cfg, str(out))


def test_out_of_classification_is_a_file(checkpoint):
    cfg = apply(test, CUB, checkpoint, '--out', 'p.pkl')
    assert [e.type for e in cfg.test_evaluator] == ['Accuracy', 'DumpResults']
    cfg = apply(test, CUB, checkpoint, '--out', 'm.json')
    assert cfg.test_evaluator.type == 'Accuracy'
    with pytest.raises(UsageError, match=r'ends in .pkl .* but got folder'):
        apply(test, CUB, checkpoint, '--out', 'folder')


@pytest.mark.parametrize('bare', [False, True])
@pytest.mark.parametrize('config', [ADE20K, CUB])
def test_pictures(config, bare):
    cfg = common.load_config(config)
    if bare:  # a config without a hook and with mmengine's own visualizer
        del cfg.default_hooks['visualization']
        cfg.visualizer = dict(type='Visualizer')
    evaluation.draw_predictions(cfg, 'pictures')
    hook = cfg.default_hooks.visualization
    if config == ADE20K:
        assert hook.type == 'SegVisualizationHook' and hook.draw
        assert cfg.visualizer.type == 'SegLocalVisualizer'
        assert cfg.visualizer.save_dir == 'pictures'
        assert cfg.visualizer.vis_backends
    else:
        assert hook.type == 'VisualizationHook' and hook.enable
        assert (hook.out_dir, hook.interval) == ('pictures', 1)
        assert cfg.visualizer.type == 'UniversalVisualizer'
