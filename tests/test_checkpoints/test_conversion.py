"""Convert checkpoints between full, tuned-only and safetensors."""

import pytest
import torch
from mmengine.config import Config

from mmdavpt.checkpoints import read_run_checkpoint
from mmdavpt.checkpoints.tuned import FINGERPRINT
from mmdavpt.cli import test
from mmdavpt.cli.messages import run_command
from mmdavpt.models.export import fold_tuners
from mmdavpt.registry import MODELS
from tools.model_converters.convert_checkpoint import main as convert
from tools.model_converters.publish import main as publish

from . import runs


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """Return the folder of a tuned-only run, and its last state."""
    folder = tmp_path_factory.mktemp('run')
    cfg = runs.config(
        folder,
        runs.pretrained(folder / 'vit.pth'),
        {
            'train_cfg.max_epochs': 1,
            'custom_hooks': [
                dict(type='EMAHook'),
                dict(type='mmdavpt.PromptMappingHook'),
            ],
        },
        tuned_only=True,
    )
    cfg['test_dataloader'] = cfg['val_dataloader']
    cfg['test_evaluator'], cfg['test_cfg'] = cfg['val_evaluator'], {}
    Config(cfg).dump(str(folder / 'config.py'))
    runner = runs.runner(cfg)
    runner.train()
    return folder


def score(run, file, capsys):
    config = str(run / 'config.py')
    run_command(
        test, [config, str(run / file), '--work-dir', str(run / 'test')]
    )
    return capsys.readouterr().out.splitlines()[-1]


def test_conversions_keep_weights_and_scores(run, capsys):
    config = str(run / 'config.py')
    files = ['epoch_1.pth', 'a.pth', 'b.safetensors', 'c.pth', 'd.safetensors']
    for source, out, *flags in (
        (*files[:2],),
        (*files[1:3],),
        (*files[2:4], '--tuned'),
        (*files[3:5], '--tuned'),
    ):
        convert([config, str(run / source), str(run / out), *flags])
    contents = {f: read_run_checkpoint(str(run / f)) for f in files}
    states = {f: content['state_dict'] for f, content in contents.items()}
    assert [FINGERPRINT in states[f] for f in files] == [
        True,
        False,
        False,
        True,
        True,
    ]
    for key in ('optimizer', 'message_hub', 'ema_state_dict'):
        assert key in contents['a.pth'] and key not in contents['c.pth']
    assert 'module.backbone.pos_embed' in contents['a.pth']['ema_state_dict']
    runs.assert_equal(states['a.pth'], states['b.safetensors'])
    runs.assert_equal(states['c.pth'], states['d.safetensors'])
    for name, value in states['c.pth'].items():
        if name in states['a.pth']:
            assert torch.equal(value, states['a.pth'][name]), name
    classes = contents['epoch_1.pth']['meta']['dataset_meta']['classes']
    for file in files:
        meta = contents[file]['meta']
        assert list(meta['dataset_meta']['classes']) == list(classes)
    first = score(run, files[0], capsys)
    assert 'top-1' in first
    assert {score(run, file, capsys) for file in files[1:]} == {first}


def test_resume_from_a_converted_full_checkpoint(run):
    convert(
        [str(run / 'config.py'), str(run / 'epoch_1.pth'), str(run / 'w.pth')]
    )
    states = []
    for file in ('epoch_1.pth', 'w.pth'):
        cfg = Config.fromfile(str(run / 'config.py'))
        cfg.train_cfg.max_epochs = 2
        cfg.work_dir = cfg.experiment_name = str(run / f'on_{file}')
        runner = runs.runner(cfg, resume=True, load_from=str(run / file))
        runner.train()
        states.append(runs.state(runner))
    runs.assert_equal(*states)


@pytest.mark.parametrize(
    'argv, sentence',
    [
        (['a.onnx'], 'OUT should end in .pth or .safetensors'),
        (
            ['x.pth', '--cfg-options', 'model.head.num_classes=7'],
            'mismatched shape',
        ),
        (
            ['x.pth', '--cfg-options', 'model.backbone.init_cfg=None'],
            'but the config names none',
        ),
    ],
)
def test_conversion_errors_are_one_sentence(run, argv, sentence, capsys):
    with pytest.raises(SystemExit):
        convert([str(run / 'config.py'), str(run / 'epoch_1.pth'), *argv])
    assert sentence in capsys.readouterr().err


def test_published_weights_are_scored(run, capsys):
    publish([str(run / 'epoch_1.pth'), str(run / 'p.pth')])
    assert 'top-1' in score(run, 'p.pth', capsys)


def test_tuners_are_folded_into_published_weights(run):
    argv = [str(run / 'epoch_1.pth'), str(run / 'f.pth')]
    publish([*argv, '--fold', str(run / 'config.py')])
    published = torch.load(run / 'f.pth')['state_dict']
    model = MODELS.build(Config.fromfile(str(run / 'config.py')).model)
    model.load_state_dict(read_run_checkpoint(argv[0])['state_dict'])
    expected = fold_tuners(model)
    assert published.keys() == expected.keys()
    assert 'backbone.bias_delta.k' in model.state_dict().keys() - expected
    for name, value in expected.items():
        value = value.half() if value.is_floating_point() else value
        assert torch.equal(published[name], value), name
