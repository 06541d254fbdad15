"""Glyphs as a fine-grained dataset."""

import numpy as np
import pytest

from mmdavpt.datasets import FGVC, GlyphDataset
from mmdavpt.datasets.fgvc import SETS
from tools.dataset_converters.glyph_writers import write_glyphs_fgvc
from tools.dataset_converters.glyph_writers.fgvc import fgvc_sizes
from tools.dataset_converters.glyph_writers.single_glyphs import (
    LETTERS,
    glyph_classes,
)

SIZES = dict(train=105, val=3, test=4)


def write(root, name='flowers', sizes=SIZES, **kwargs):
    return write_glyphs_fgvc(
        str(root), name, sizes, **{**dict(size=24), **kwargs}
    )


def read(root, split, name='flowers', **kwargs):
    kwargs = {**dict(check_size=False, serialize_data=False), **kwargs}
    return FGVC(
        name,
        split,
        str(root),
        pipeline=[dict(type='mmpretrain.LoadImageFromFile')],
        **kwargs,
    )


@pytest.mark.parametrize('num_workers', [0, 2])
def test_reader_reads_drawn_glyphs(tmp_path, num_workers):
    assert write(tmp_path, seed=5, num_workers=num_workers) == SIZES
    for split, faces, seed in (
        ('train', 'multiscript_train', 5),
        ('val', 'multiscript_train', 6),
        ('test', 'multiscript_test', 7),
    ):
        written = read(tmp_path, split)
        drawn = GlyphDataset(
            LETTERS[:102], faces, SIZES[split], seed=seed, img_size=24
        )
        assert len(written) == len(drawn) == SIZES[split]
        assert written.metainfo['classes'] == drawn.metainfo['classes']
        for i in [*range(3), len(drawn) - 1]:
            assert np.array_equal(written[i]['img'], drawn[i]['img'])
        assert list(written.get_gt_labels()) == list(drawn.get_gt_labels())


@pytest.mark.parametrize('name', SETS)
def test_classes_and_folder_of_each_dataset(tmp_path, name):
    known = SETS[name]
    sizes = dict(train=known.num_classes, val=1, test=1)
    write(tmp_path, name, sizes, size=16)
    dataset = read(tmp_path, 'train', name)
    assert set(dataset.get_gt_labels()) == set(range(known.num_classes))
    names = tuple(c.name for c in glyph_classes(known.num_classes))
    assert dataset.metainfo['classes'] == names
    folder = next(f for f in known.image_dirs if f)
    assert (tmp_path / folder / 'train' / '000000.png').is_file()


def test_inverted_classes_are_light_on_dark(tmp_path):
    write(tmp_path, 'nabirds', dict(train=555, val=1, test=1))
    dataset = read(tmp_path, 'train', 'nabirds')
    brightness = [dataset[i]['img'].mean() for i in (0, 300, 328, 554)]
    assert min(brightness[:2]) > 128 > max(brightness[2:])


def test_published_sizes_pass_the_check(tmp_path):
    # Only the lists: as if all images had been drawn.
    fgvc_set = SETS['cub']
    assert fgvc_sizes(fgvc_set) == dict(train=5394, val=600, test=5794)
    assert fgvc_sizes(fgvc_set, 0.1) == dict(train=539, val=60, test=579)
    assert fgvc_sizes(fgvc_set, 0.001) == dict(train=200, val=1, test=6)
    for scale in (0, -1, float('nan')):
        with pytest.raises(ValueError, match='scale should be above 0'):
            fgvc_sizes(fgvc_set, scale)


def test_resume(tmp_path):
    complete, parts = tmp_path / 'complete', tmp_path / 'parts'
    write(complete)
    assert write(parts, sizes=dict(SIZES, train=103))['train'] == 103
    images = parts / 'jpg' / 'train'
    (images / '000005.png').unlink()
    (images / '000104.png.1.tmp').write_bytes(b'half')
    kept = (images / '000000.png').stat().st_mtime_ns
    assert write(parts) == dict(train=3, val=0, test=0)
    assert write(parts) == dict(train=0, val=0, test=0)
    assert (images / '000000.png').stat().st_mtime_ns == kept
    files = sorted(p.relative_to(complete) for p in complete.rglob('*.*'))
    assert files == sorted(p.relative_to(parts) for p in parts.rglob('*.*'))
    for name in files:
        assert (complete / name).read_bytes() == (parts / name).read_bytes()


def test_jpeg_is_close(tmp_path):
    write(tmp_path, img_suffix='.jpg')
    drawn = GlyphDataset(LETTERS[:102], 'multiscript_train', 9, img_size=24)
    written = read(tmp_path, 'train')
    for i in range(9):
        assert written[i]['img_path'].endswith('.jpg')
        error = np.abs(written[i]['img'].astype(int) - drawn[i]['img'])
        assert error.mean() < 5


@pytest.mark.parametrize('name', ['train.json', 'images.txt', 'jpg/1.jpg'])
def test_reject_folders_with_real_data(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b'real')
    named = name.split('/')[0]
    with pytest.raises(ValueError, match=f'{named} exists'):
        write(tmp_path)
    assert [p.read_bytes() for p in tmp_path.rglob('*.*')] == [b'real']


@pytest.mark.parametrize(
    'changes, sentence',
    [
        (dict(sizes=dict(train=101)), '102 classes .* but got 101'),
        (dict(sizes=dict(SIZES, val=0)), 'number of val images should be'),
        (dict(name='birds'), "but got 'birds'"),
        (dict(size=8), 'size should be an integer of at least 16'),
        (dict(style='rough', name='nabirds', sizes=None), 'more than the 328'),
    ],
)
def test_report_bad_arguments(tmp_path, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        write(tmp_path, **changes)
    assert not (tmp_path / 'images').exists()


def test_reject_other_settings(tmp_path):
    write(tmp_path)
    for changes, named in (
        (dict(seed=1), 'seed'),
        (dict(size=32), 'size'),
        (dict(style='rough'), 'style'),
        (dict(name='dogs', sizes=dict(SIZES, train=120)), 'num_classes'),
    ):
        with pytest.raises(ValueError, match=f'with another .*{named}'):
            write(tmp_path, **changes)
