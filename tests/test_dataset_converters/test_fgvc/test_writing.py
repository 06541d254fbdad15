"""Write the lists of FGVC."""

import hashlib
import importlib.util
import json
from pathlib import Path

import pytest
from scipy.io import savemat

from mmdavpt.datasets import FGVC
from mmdavpt.errors import UsageError
from tools.dataset_converters.fgvc_conversion.writing import (
    MANIFEST,
    write_splits,
)

from .originals import TEST, TRAIN, WRITERS, write_cub, write_flowers

LISTS = ['train.json', 'val.json', 'test.json']
ROOT = Path(__file__).parents[3]


def split(root, name='cub', **kwargs):
    return write_splits(name, str(root), check_size=False, **kwargs)


def read(root, split, name='cub', **kwargs):
    kwargs = dict(check_size=False, serialize_data=False, **kwargs)
    return FGVC(name, split, str(root), **kwargs)


def tool():
    path = ROOT / 'tools' / 'dataset_converters' / 'fgvc_splits.py'
    spec = importlib.util.spec_from_file_location('fgvc_splits_tool', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('form', WRITERS)
def test_reader_reads_written_lists(tmp_path, form):
    name = form.split(',')[0]
    written = WRITERS[form](tmp_path)
    before = {p for p in tmp_path.rglob('*') if p.is_file()}
    contents = {p: p.read_bytes() for p in before}
    manifest = split(tmp_path, name)
    # The original files are as they were, NABirds' classes.txt among them.
    assert all(p.read_bytes() == contents[p] for p in before)
    parts = {s: read(tmp_path, s, name) for s in ('train', 'val', 'test')}
    sizes = [len(TRAIN), 2, len(TEST)] if name == 'flowers' else [9, 1, 3]
    assert [len(part) for part in parts.values()] == sizes
    assert list(manifest['counts'].values()) == sizes
    classes_by_path = {
        path: class_id for part in written for path, class_id in part.items()
    }
    for part in parts.values():
        assert part.metainfo['classes'] == parts['train'].metainfo['classes']
        for i in range(len(part)):
            info = part.get_data_info(i)
            assert Path(info['img_path']).read_bytes() == b'image'
            path = Path(info['img_path']).relative_to(manifest['image_dir'])
            class_id = classes_by_path[path.as_posix()]
            assert info['gt_label'] == [3, 7].index(class_id)


@pytest.mark.parametrize(
    'form, names',
    [
        ('cub', ('Sooty Albatross', 'Parakeet Auklet')),
        ('nabirds', ("Ross's Goose", 'Snow Goose')),
        ('flowers', ('3', '7')),
        ('dogs', ('Maltese dog', 'papillon')),
        ('cars', ('Car 3 Sedan 2012', 'Car 7 Sedan 2012')),
    ],
)
def test_reader_names_the_classes(tmp_path, form, names):
    WRITERS[form](tmp_path)
    split(tmp_path, form)
    assert read(tmp_path, 'val', form).metainfo['classes'] == names


def test_manifest_of_lists(tmp_path):
    write_cub(tmp_path / 'cub')
    manifest = split(tmp_path / 'cub', seed=3, fraction=0.2)
    recorded = json.loads((tmp_path / 'cub' / MANIFEST).read_text())
    assert dict(recorded, image_dir=str(tmp_path / 'cub/images')) == manifest
    assert recorded['name'] == 'cub' and recorded['num_classes'] == 2
    assert recorded['seed'] == 3 and recorded['fraction'] == '1/5'
    assert recorded['counts'] == dict(train=8, val=2, test=3)
    for file, digest in recorded['sha256'].items():
        content = (tmp_path / 'cub' / file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
    assert set(recorded['sha256']) == {*LISTS, 'classes.json'}
    # Nothing of this machine is in it.
    assert str(tmp_path) not in (tmp_path / 'cub' / MANIFEST).read_text()


def test_do_not_rewrite_equal_lists(tmp_path):
    write_cub(tmp_path / 'cub')
    split(tmp_path / 'cub')
    paths = [tmp_path / 'cub' / name for name in [*LISTS, MANIFEST]]
    times = [path.stat().st_mtime_ns for path in paths]
    paths[1].unlink()
    split(tmp_path / 'cub')
    assert [path.stat().st_mtime_ns for path in paths[::2]] == times[::2]
    assert len(read(tmp_path / 'cub', 'val')) == 1


def test_replace_lists_only_with_overwrite(tmp_path):
    write_cub(tmp_path / 'cub')
    for name in LISTS:
        (tmp_path / 'cub' / name).write_text('{"vpt.jpg": 0}')
    with pytest.raises(UsageError, match='train.json exists and'):
        split(tmp_path / 'cub')
    assert not (tmp_path / 'cub' / MANIFEST).exists()
    assert 'vpt' in (tmp_path / 'cub' / 'val.json').read_text()
    split(tmp_path / 'cub', overwrite=True)
    assert len(read(tmp_path / 'cub', 'train')) == 9
    with pytest.raises(UsageError, match='differs from the new list'):
        split(tmp_path / 'cub', seed=1)


def test_write_lists_to_another_folder(tmp_path):
    write_cub(tmp_path / 'cub')
    manifest = split(tmp_path / 'cub', out_dir=str(tmp_path / 'lists' / '0'))
    assert not (tmp_path / 'cub' / 'train.json').exists()
    there = read(
        tmp_path / 'lists' / '0', 'train', data_prefix=manifest['image_dir']
    )
    assert len(there) == 9


def test_report_malformed_downloads(tmp_path):
    for name, sentence in (
        ('cub', 'folder .*cub does not exist; give'),
        ('birds', "but got 'birds'"),
    ):
        with pytest.raises(UsageError, match=sentence):
            split(tmp_path / 'cub', name)
    train, _ = write_cub(tmp_path / 'cub')
    with pytest.raises(
        UsageError,
        match='lists 10 training images, 3 test images and 2 classes, but '
        'CUB-200-2011 has 5994 training images, 5794 test images and 200',
    ):
        write_splits('cub', str(tmp_path / 'cub'))
    image = min(train)
    (tmp_path / 'cub' / 'images' / image).unlink()
    with pytest.raises(UsageError, match=f'1 of 13 images, such as {image}'):
        split(tmp_path / 'cub')
    write_flowers(tmp_path / 'flowers')
    with pytest.raises(UsageError, match='2 validation images and 2 classes'):
        write_splits('flowers', str(tmp_path / 'flowers'))


def test_reject_images_in_two_lists(tmp_path):
    write_flowers(tmp_path)
    setid = tmp_path / 'setid.mat'
    savemat(setid, dict(trnid=[1, 2], valid=[2, 3], tstid=[4]))
    with pytest.raises(UsageError, match='name 5 images, but only 4'):
        split(tmp_path, 'flowers')


def test_command_prints_the_reader(tmp_path, capsys):
    write_cub(tmp_path / 'cub')
    folder, lists = str(tmp_path / 'cub'), str(tmp_path / 'lists')
    options = ['--no-check-size', '--val', '0.2', '--seed', '1']
    tool().main(['CUB200', folder, *options])
    out = capsys.readouterr().out
    assert f'{folder}: train 8, val 2, test 3 images' in out
    call = f"type='mmdavpt.FGVC', name='cub', data_root={folder!r}, check_size"
    assert call in out
    tool().main(['cub', folder, *options, '--out', lists])
    out = capsys.readouterr().out
    assert f'data_root={lists!r}, data_prefix={folder + "/images"!r}' in out
    for name in LISTS:
        content = (tmp_path / 'cub' / name).read_bytes()
        assert content == (tmp_path / 'lists' / name).read_bytes()
    with pytest.raises(UsageError, match='differs'):
        tool().main(['cub', folder, '--no-check-size', '--no-stratify'])
    tool().main(['cub', folder, '--no-check-size', '--overwrite'])
    assert len(read(folder, 'train')) == 9
    with pytest.raises(UsageError, match='or use --no-check-size'):
        tool().main(['cub', folder])
