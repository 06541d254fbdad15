"""Train from a folder: the config that is written, and whole runs."""

import re
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from PIL import Image

from mmdavpt.cli import check, options, test, train
from mmdavpt.cli.folder_config import write_config
from mmdavpt.cli.messages import run_command
from mmdavpt.config_source import load_with_variables
from mmdavpt.errors import UsageError
from mmdavpt.models.pretrained import reading

ROOT = Path(__file__).parents[2]
RECOMMENDED = ROOT / 'configs/recommended'
GLYPHS = str(ROOT / 'checkpoints/vit-tiny_glyphs.pth')
WEIGHTS = ['--weights', GLYPHS, '--arch', 'dict(num_heads=4)']
COLORS = dict(red=(200, 40, 40), green=(40, 200, 40), blue=(40, 40, 200))


def write_photos(folder):
    """Write four noisy photos of each color."""
    rng = np.random.default_rng(0)
    for name, color in COLORS.items():
        (folder / name).mkdir(parents=True)
        for k in range(4):
            pixels = rng.normal(color, 20, (20, 30, 3)).clip(0, 255)
            image = Image.fromarray(pixels.astype(np.uint8))
            image.save(folder / name / f'{k}.JPG', format='JPEG')


def write_scenes(folder):
    """Write dark squares on light paper, with masks of 0 and 255."""
    for split, names in (('train', range(4)), ('val', range(4, 5))):
        for kind in ('images', 'labels'):
            (folder / split / kind).mkdir(parents=True)
        for k in names:
            mask = np.zeros((20, 30), np.uint8)
            mask[:, : 10 + k] = 255
            Image.fromarray(255 - mask).convert('RGB').save(
                folder / split / 'images' / f'{k}.jpg'
            )
            Image.fromarray(mask).save(folder / split / 'labels' / f'{k}.png')


def write(*argv):
    args = options.parse_arguments(train.add_arguments, [str(a) for a in argv])
    return Path(write_config(args, [*map(str, argv)])), args


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / 'colors')
    return 'colors'


def test_written_config_is_the_recommended_one_with_its_settings(
    folder, capsys
):
    argv = [folder, *WEIGHTS, '--epochs', 3, '--size', 32, '--batch', 2]
    argv += ['--method', 'vpt', '--cfg-options', 'lr=0.5', 'model.x=1']
    path, args = write(*argv)
    assert args.cfg_options == {'model.x': 1}
    assert str(path) == 'work_dirs/colors/colors.py'
    data = [
        dict(data_prefix='', ann_file=str(path.parent.resolve() / name))
        for name in ('train.txt', 'val.txt', 'val.txt')
    ]
    settings = dict(
        data_root='colors',
        train_data=data[0],
        val_data=data[1],
        test_data=data[2],
        classes=['blue', 'green', 'red'],
        arch=dict(
            embed_dims=128,
            num_layers=6,
            num_heads=4,
            feedforward_channels=512,
        ),
        weights=GLYPHS,
        patch_size=8,
        backbone_options={},
        method='vpt',
        size=32,
        batch_size=2,
        max_epochs=3,
        lr=0.5,
    )
    recommended = RECOMMENDED / 'classification.py'
    cfg = load_with_variables(recommended, settings)
    assert Config.fromfile(path)._cfg_dict == cfg._cfg_dict
    source = path.read_text()
    assert '# tune it first, by factors of 3' in source
    assert source.startswith('"""Train on colors: 3 classes; 9 images train')
    assert 'train colors --weights' in source
    assert max(map(len, source.splitlines()[9:])) < 120
    assert 'does not state the mean and std' in capsys.readouterr().err


def test_segmentation_config(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / 'scenes')
    path, _ = write('scenes/', *WEIGHTS, '--work-dir', 'runs/one')
    assert str(path) == 'runs/one/scenes.py'
    assert 'become classes (0: 0, 255: 1); if' in capsys.readouterr().err
    cfg = Config.fromfile(path)
    assert cfg.work_dir == 'runs/one' and cfg.data_root == 'scenes'
    assert cfg.train_pipeline[1].value_map == {0: 0, 255: 1}
    assert cfg.train_dataloader.dataset.data_prefix == dict(
        img_path='train/images', seg_map_path='train/labels'
    )
    cfg.dump(tmp_path / 'dump.py')
    assert Config.fromfile(tmp_path / 'dump.py')._cfg_dict == cfg._cfg_dict


def test_a_check_of_the_data_needs_no_weights(folder, capsys):
    """Neither the default weights, nor those of an earlier run."""
    assert run_command(check, [folder, '--data-only']) == 0
    run = Path('work_dirs/colors')
    assert [path.name for path in run.glob('*')] == ['data_report']
    assert (run / 'data_report/report.html').is_file()
    path, _ = write(folder, *WEIGHTS)
    (run / 'epoch_1.pth').touch()
    assert capsys.readouterr().err.count('warning') == 1  # no mean and std
    (run / 'data_report/report.html').unlink()
    assert run_command(check, [folder, '--data-only']) == 0
    assert (run / 'data_report/report.html').is_file()
    args = options.parse_arguments(check.add_arguments, [folder])
    args.resume, args.check_only = None, True
    assert write_config(args, [folder]) == str(path)


def test_config_of_a_run_is_kept(folder, capsys):
    short = [folder, *WEIGHTS, '--epochs', 2]
    path, _ = write(*short)
    edited = path.read_text().replace('# tune it first', '# mine')
    path.write_text(edited)
    assert write(*short)[0].read_text() == edited
    # Nothing was trained with it yet.
    write(folder, *WEIGHTS, '--epochs', 3)
    assert path.with_suffix('.old.py').read_text() == edited
    assert 'other settings (max_epochs), but no' in capsys.readouterr().err
    (path.parent / 'epoch_1.pth').touch()
    before = path.read_text()
    with pytest.raises(UsageError, match=r'\(max_epochs\); continue it with'):
        write(*short)
    with pytest.raises(UsageError, match='max_epochs is 3, not 2'):
        write(*short, '--resume')
    write(folder, '--resume')
    write(folder, *WEIGHTS, '--epochs', 3, '--resume')
    (Path(folder) / 'red/0.JPG').unlink()
    with pytest.raises(UsageError, match=r'\(train.txt\)'):
        write(folder, *WEIGHTS, '--epochs', 3)
    assert path.read_text() == before


@pytest.mark.parametrize(
    'argv, sentence',
    [
        (['--method', 'davtp'], "--method should .*did you mean 'davpt'"),
        (['--method', 'x'], '^((?!E2VPT.*E2VPT).)*$'),  # each name once
        (['--size', '30'], 'multiple of 8, .*such as 32, but is 30'),
        (['--arch', 'b'], '--arch b does not fit .* 6 layers of 128 channels'),
        (['--arch', 'x'], '--arch should be one of s, b, l, but is x'),
        (['--arch', 'dict(a=3)'], 'does not state how many attention heads'),
        (['--task', 'segmentation'], 'the folders images and labels'),
        (['--work-dir', 'colors/work'], 'would become a class of .*colors'),
    ],
)
def test_options_that_do_not_fit(folder, argv, sentence):
    with pytest.raises(UsageError, match=sentence):
        write(folder, *WEIGHTS, *argv)
    assert not Path('work_dirs').exists()


@pytest.mark.parametrize(
    'argv, sentence',
    [
        (['colors', '--weights', 'no.pth'], 'of --weights no.pth does not'),
        (['colors', '--epochs', '0'], '--epochs: invalid positive value'),
        (
            [str(RECOMMENDED / 'classification.py'), '--epochs', '3'],
            '--epochs is for a folder of images',
        ),
        (['colors/red/0.JPG'], '0.JPG cannot be read: Only py/yml/'),
        (['colours'], 'the config or folder colours does not exist'),
    ],
)
def test_mistakes_end_in_one_line(folder, argv, sentence, capsys):
    with pytest.raises(SystemExit) as exit_info:
        run_command(train, argv)
    assert exit_info.value.code == 2
    assert re.search(sentence, capsys.readouterr().err.splitlines()[-1])


def test_train_resume_and_test_a_classifier(folder, capsys):
    argv = [folder, *WEIGHTS, '--epochs', '1', '--size', '16', '--batch', '4']
    argv += ['--cfg-options', 'num_workers=0', 'lr=0.01']
    run_command(train, argv)
    path = Path('work_dirs/colors/colors.py')
    assert 'lr = 0.01 ' in path.read_text()  # not mmengine's dump
    assert list(path.parent.glob('*/colors.py'))
    state = torch.load(path.parent / 'epoch_1.pth', weights_only=False)
    assert not [k for k in state['state_dict'] if '.layers.' in k]
    run_command(
        train, [*argv[:-1], '--cfg-options', 'max_epochs=2', '--resume']
    )
    assert (path.parent / 'epoch_2.pth').exists()
    capsys.readouterr()
    run_command(test, [str(path), str(path.parent / 'epoch_2.pth'), '--tta'])
    assert 'top-1 (TTA)' in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize(
    'method, size, trained',
    [('davpt', '32', 'prompts'), ('SSF', '48', 'tuners.SSF')],
)
def test_other_models_of_timm_and_other_tuners(
    folder, monkeypatch, method, size, trained
):
    vit = timm.create_model('test_vit2')  # a register instead of [CLS]
    monkeypatch.setattr(reading, 'timm_model', lambda name: vit)
    weights = 'timm://test_vit2'
    argv = [folder, '--weights', weights, '--method', method, '--size', size]
    argv += ['--epochs', '1', '--batch', '4']
    run_command(train, [*argv, '--cfg-options', 'num_workers=0'])
    state = torch.load('work_dirs/colors/epoch_1.pth', weights_only=False)
    names = state['state_dict'].keys()
    assert any(n.startswith(f'backbone.{trained}') for n in names)
    assert not any(n.startswith('backbone.vit.') for n in names)


def test_segmentor_on_another_model_of_timm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / 'scenes')

    monkeypatch.setattr(reading, 'timm_model', timm.create_model)
    path, _ = write('scenes', '--weights', 'timm://test_vit3', '--size', 32)
    cfg = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model).eval()
        logits = model(torch.zeros(1, 3, 32, 32))
    assert logits.shape[1] == 2


def test_train_and_test_a_segmentor(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / 'scenes')
    argv = ['scenes', *WEIGHTS, '--epochs', '1', '--size', '16']
    argv += ['--batch', '2', '--cfg-options', 'num_workers=0']
    run_command(train, [*argv, 'num_prompts=2'])  # 4 images have 4 tokens
    capsys.readouterr()
    run_command(
        test, ['work_dirs/scenes/scenes.py', 'work_dirs/scenes/epoch_1.pth']
    )
    assert capsys.readouterr().out.splitlines()[-1].startswith('mIoU-SS ')
