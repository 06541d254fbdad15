"""The tools that look at data: arguments, sentences, exit codes, files."""

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

from .test_checks.test_data.data_files import listed_images, scenes, truncate

ROOT = Path(__file__).parents[1]
GLYPHS = str(ROOT / 'configs/glyphs/davpt_glyphs.py')


def load_tool(name):
    spec = importlib.util.spec_from_file_location(
        f'tool_{name}', ROOT / 'tools' / f'{name}.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


browse, check = load_tool('browse_dataset'), load_tool('check_data')


def config(folder, **content):
    """Write a config of these keys; return its path."""
    path = folder / 'some.py'
    lines = [f'{key} = {value!r}' for key, value in content.items()]
    path.write_text('\n'.join(lines))
    return str(path)


@pytest.mark.parametrize('split, number', [('train', 3), ('test', 30)])
def test_browse(tmp_path, capfd, split, number):
    browse.main(
        [
            GLYPHS,
            '--split',
            split,
            '--number',
            str(number),
            '--out',
            str(tmp_path / 'out'),
            '--cfg-options',
            f'{split}_dataloader.dataset.num_images=40',
        ]
    )
    made = sorted(str(path) for path in (tmp_path / 'out').iterdir())
    # 24 samples a sheet.
    assert len(made) == (2 if number > 24 else 1)
    assert capfd.readouterr().out.split('\n')[-len(made) - 1 : -1] == made
    for path in made:
        with Image.open(path) as picture:
            assert picture.width > 300


def test_browse_where_it_is_and_each_on_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = scenes(tmp_path / 'data')
    path = config(
        tmp_path,
        default_scope='mmseg',
        model=dict(decode_head=dict(num_classes=3), guidance=dict()),
        train_dataloader=dict(dataset=dataset),
    )
    browse.main([path, '--number', '2', '--each'])
    made = sorted((tmp_path / 'work_dirs/some/browse').iterdir())
    assert len(made) == 2
    assert all(p.name.startswith('train_00000') for p in made)


def test_browse_mistakes(tmp_path, capfd):
    with pytest.raises(SystemExit):
        browse.main([GLYPHS, '--number', '0'])
    assert '--number should be at least 1' in capfd.readouterr().err
    dataset = listed_images(tmp_path, {'a.jpg': 0})
    path = config(
        tmp_path,
        default_scope='mmpretrain',
        model=dict(guidance=dict(), head=dict(num_classes=1)),
        train_dataloader=dict(dataset=dataset),
    )
    browse.main([path, '--out', str(tmp_path)])
    truncate(tmp_path / 'a.jpg')
    for argv, sentence in (
        ([path], 'a.jpg is truncated'),
        ([path, '--split', 'val'], 'has no val_dataloader; choose'),
        ([path, '--protocol', 'tune'], 'protocol'),
    ):
        with pytest.raises(SystemExit):
            browse.main(argv)
        assert sentence in capfd.readouterr().err


def test_check(tmp_path, capfd):
    path = config(
        tmp_path,
        default_scope='mmseg',
        work_dir=str(tmp_path / 'run'),
        train_dataloader=dict(dataset=scenes(tmp_path / 'data')),
    )
    assert check.main([path]) == 0
    assert 'no errors, no warnings' in capfd.readouterr().out
    truncate(tmp_path / 'data/ann/2.png')
    assert check.main([path, '--workers', '1', '--splits', 'train']) == 1
    assert f'{tmp_path}/data/ann/2.png is tr' in capfd.readouterr().out


def test_check_mistakes(tmp_path, capfd):
    path = config(tmp_path, default_scope='mmseg')
    for argv, sentence in (
        ([path], 'has no dataset for train or val or test'),
        ([path, '--workers', '-1'], '--workers'),
        ([str(tmp_path / 'other.py')], 'other.py does not exist'),
        ([path, '--protocol', 'tune'], 'protocol'),
    ):
        with pytest.raises(SystemExit) as stop:
            check.main(argv)
        assert stop.value.code == 2
        assert sentence in capfd.readouterr().err
