"""Glyphs as a task of VTAB-1k."""

import numpy as np
import pytest

from mmdavpt.datasets import GlyphDataset
from mmdavpt.datasets.vtab1k import VTAB1k
from tools.dataset_converters.glyph_writers import write_glyphs_vtab1k
from tools.dataset_converters.glyph_writers.single_glyphs import LETTERS


def write(root, task='kitti', num_test=6, **kwargs):
    kwargs = {**dict(size=16), **kwargs}
    return write_glyphs_vtab1k(str(root), task, num_test, **kwargs)


def read(root, split, task='kitti', **kwargs):
    return VTAB1k(
        task,
        split,
        str(root),
        pipeline=[dict(type='mmpretrain.LoadImageFromFile')],
        serialize_data=False,
        **kwargs,
    )


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('vtab')
    drawn = write(folder, 'clevr_dist', seed=5)
    assert drawn == dict(train800=800, val200=200, train800val200=1000, test=6)
    return folder


@pytest.mark.parametrize(
    'split, faces, seed, first, last',
    [
        ('train800', 'multiscript_train', 5, 0, 800),
        ('val200', 'multiscript_train', 5, 800, 1000),
        ('train800val200', 'multiscript_train', 5, 0, 1000),
        ('test', 'multiscript_test', 6, 0, 6),
    ],
)
def test_reader_reads_drawn_glyphs(root, split, faces, seed, first, last):
    written = read(root, split, 'clevr_dist', check_size=split != 'test')
    assert len(written) == last - first
    drawn = GlyphDataset(LETTERS[:6], faces, last, seed=seed, img_size=16)
    assert written.metainfo['classes'] == drawn.metainfo['classes']
    labels = written.get_gt_labels()
    assert list(labels) == list(drawn.get_gt_labels())[first:]
    for i in (0, 3, len(written) - 1):
        assert np.array_equal(written[i]['img'], drawn[first + i]['img'])


def test_train800val200_is_both_parts(root):
    parts = [
        (root / 'clevr_dist' / 'images' / split / f'{i:06d}.png').read_bytes()
        for split, i in (('train800', 799), ('val200', 0))
    ]
    complete = [
        root / 'clevr_dist' / 'images' / 'train800val200' / f'{i:06d}.png'
        for i in (799, 800)
    ]
    assert parts == [path.read_bytes() for path in complete]
    line = (root / 'clevr_dist' / 'train800val200.txt').read_text()
    # The 801st image is of the class 800 % 6.
    assert 'images/train800val200/000800.png 2\n' in line


def test_default_sizes_are_published(tmp_path, monkeypatch):
    asked = {}

    def note(target, num_images, *args, **kwargs):
        asked[target.split] = num_images
        (tmp_path / 'kitti').mkdir(exist_ok=True)
        return 0

    monkeypatch.setattr(
        'tools.dataset_converters.glyph_writers.vtab1k.write_glyphs', note
    )
    write(tmp_path, num_test=None)
    assert asked == dict(
        train800=800, val200=200, train800val200=1000, test=711
    )


def test_resume(root):
    path = root / 'clevr_dist' / 'images' / 'val200' / '000007.png'
    before = path.read_bytes()
    path.unlink()
    drawn = write(root, 'clevr_dist', num_test=7, seed=5)
    assert drawn == dict(train800=0, val200=1, train800val200=0, test=1)
    assert path.read_bytes() == before
    assert write(root, 'clevr_dist', num_test=7, seed=5)['test'] == 0


def test_reject_folders_with_real_data(tmp_path):
    path = tmp_path / 'kitti' / 'test.txt'
    path.parent.mkdir()
    path.write_text('images/test/000000.jpg 3\n')
    with pytest.raises(ValueError, match='test.txt exists'):
        write(tmp_path)
    assert [p.name for p in path.parent.iterdir()] == ['test.txt']


def test_report_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="but got 'birds'"):
        write(tmp_path, 'birds')
    with pytest.raises(ValueError, match='img_suffix should be one of'):
        write(tmp_path, img_suffix='.bmp')
    assert not list(tmp_path.iterdir())
