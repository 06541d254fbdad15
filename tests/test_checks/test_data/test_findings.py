"""Each kind of finding on a tiny dataset with that defect; clean data."""

import shutil

import numpy as np
import pytest
from PIL import Image

from mmdavpt.checks.data.report import make_report

from .data_files import CLS, label, listed_images, picture, scenes

MASKS = dict(type='mmdavpt.LoadMasks')


def report(tmp_path, **splits):
    loaders = {f'{k}_dataloader': dict(dataset=v) for k, v in splits.items()}
    cfg = dict(loaders, default_scope='mmseg', work_dir=str(tmp_path / 'run'))
    return make_report(cfg, splits)


def kinds(tmp_path, **splits):
    """Return the severity of each kind of finding."""
    found = report(tmp_path, **splits).all_findings
    assert len({(f.kind, f.split) for f in found}) == len(found)
    for finding in found:
        assert '{' not in finding.sentence.replace('value_map={', '')
    return {finding.kind: finding.severity for finding in found}


def photos(folder, number=4, **kwargs):
    """Write a folder for each of two classes; return their dataset."""
    for k in range(number):
        for name in ('cat', 'dog'):
            (folder / name).mkdir(parents=True, exist_ok=True)
            picture(folder / name / f'{k}.png', (12, 8))
    load = dict(type='LoadImageFromFile', **kwargs)
    return dict(type=CLS, data_root=str(folder), pipeline=[load])


def tagged(path, orientation, **kwargs):
    tags = Image.Exif()
    tags[274] = orientation
    picture(path, exif=tags, **kwargs)


def test_clean_data(tmp_path):
    splits = {k: scenes(tmp_path / k) for k in ('train', 'val', 'test')}
    found = report(tmp_path, **splits)
    assert found.all_findings == []
    part = found.summaries[0]
    assert part['formats'] == {'JPEG': 4}
    assert set(part['sizes'].values()) == {(12, 8)}
    assert sum(part['pixels_per_class'].values()) == 4 * 12 * 8
    assert list(part['label_values']) == [0, 1, 2]
    found = report(
        tmp_path, train=photos(tmp_path / 'a'), val=photos(tmp_path / 'b')
    )
    assert found.all_findings == []
    assert found.summaries[1]['images_per_class'] == {'cat': 4, 'dog': 4}


def wide(path):
    """Write values of 12 bits in 16, as many cameras and scanners do."""
    values = np.random.default_rng(0).integers(0, 4096, (8, 12))
    Image.fromarray(values.astype(np.uint16)).save(path)


def full(path):
    values = np.linspace(0, 65535, 96).reshape(8, 12)
    Image.fromarray(values.astype(np.uint16)).save(path)


def transparent(path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 4), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    'write_image, load, expected',
    [
        (wide, {}, {'lost_range': 'error'}),
        (full, {}, {}),
        (
            full,
            dict(imdecode_backend='pillow'),  # clips at 255
            {'lost_range': 'error'},
        ),
        (transparent, {}, {}),
        (lambda p: picture(p, (12, 8), 'P'), {}, {}),
        (lambda p: tagged(p.with_suffix('.jpg'), 6, size=(12, 8)), {}, {}),
        (lambda p: p.write_bytes(b''), {}, {'broken_files': 'error'}),
    ],
)
def test_images(tmp_path, write_image, load, expected):
    dataset = photos(tmp_path / 'data', **load)
    write_image(tmp_path / 'data/cat/other.png')
    assert kinds(tmp_path, train=dataset) == expected


def test_classes_of_images(tmp_path):
    dataset = photos(tmp_path / 'data')
    shutil.rmtree(tmp_path / 'data/dog')
    (tmp_path / 'data/dog').mkdir()
    missing = kinds(tmp_path, train=dataset)  # one class is left
    assert missing == {'class_without_images': 'error'}
    missing = kinds(tmp_path, val=dataset)
    assert missing == {'class_without_images': 'warning'}
    dataset = listed_images(tmp_path / 'b', {'a.png': 0, 'b.png': 1})
    dataset['metainfo'] = dict(classes=['a', 'b', 'c'])
    missing = kinds(tmp_path, train=dataset)
    assert missing == {'class_without_images': 'warning'}
    labels = {'a.png': 0, 'b.png': 5}
    dataset = dict(listed_images(tmp_path / 'c', labels))
    dataset['metainfo'] = dict(classes=['a', 'b'])
    assert kinds(tmp_path, train=dataset)['labels_out_of_range'] == 'error'


def cut(path):
    label(path, np.full((8, 12), 258), np.uint16)  # read as 2, a class


def colored(path):
    Image.new('RGB', (12, 8), (128, 0, 0)).save(path)


@pytest.mark.parametrize(
    'write_label, expected',
    [
        (lambda p: label(p, np.full((8, 12), 3)), 'labels_out_of_range'),
        (lambda p: label(p, np.zeros((12, 8))), 'label_size'),
        (cut, 'wide_labels'),
        (colored, 'color_labels'),
        (lambda p: p.write_text('x'), 'broken_files'),
        (lambda p: p.unlink(), 'images_without_labels'),
    ],
)
def test_labels(tmp_path, write_label, expected):
    dataset = scenes(tmp_path / 'data')
    write_label(tmp_path / 'data/ann/1.png')
    assert kinds(tmp_path, train=dataset) == {expected: 'error'}


def test_files_of_label_sizes(tmp_path):
    dataset = scenes(tmp_path / 'data')
    label(tmp_path / 'data/ann/2.png', np.zeros((12, 8)))
    (found,) = report(tmp_path, train=dataset).all_findings
    assert found.kind == 'label_size'
    assert [file[-9:] for file in found.files] == ['ann/2.png', 'img/2.jpg']


def test_lossy_labels(tmp_path):
    dataset = scenes(tmp_path / 'data', seg_map_suffix='.jpg')
    for k in range(4):
        path = tmp_path / f'data/ann/{k}.png'
        Image.open(path).save(path.with_suffix('.jpg'), quality=100)
        path.unlink()
    assert kinds(tmp_path, train=dataset)['lossy_labels'] == 'error'


def test_turned_images(tmp_path):
    """Tags turn images, but not labels."""
    dataset = scenes(tmp_path / 'data')
    tagged(tmp_path / 'data/img/1.jpg', 6, size=(8, 12))
    assert kinds(tmp_path, train=dataset) == {}  # the label fits
    tagged(tmp_path / 'data/img/1.jpg', 3, size=(12, 8))
    assert kinds(tmp_path, train=dataset) == {'orientation': 'warning'}
    tagged(tmp_path / 'data/img/1.jpg', 6, size=(12, 8))
    (found,) = report(tmp_path, train=dataset).all_findings
    assert found.kind == 'label_size' and 'orientation tag' in found.sentence


def test_rejected_labels(tmp_path):
    dataset = scenes(tmp_path / 'data')
    dataset['pipeline'][1] = dict(MASKS, value_map={0: 0, 1: 1})
    (found, *_) = report(tmp_path, train=dataset).all_findings
    assert found.kind == 'rejected_labels'
    assert 'ann/0.png has 2, which value_map lacks' in found.sentence
    assert '(3 more)' in found.sentence and len(found.files) == 4


def test_classes_of_pixels(tmp_path):
    dataset = scenes(tmp_path / 'data', classes=2)
    dataset['metainfo']['classes'].append('bird')
    for split, severity in (('train', 'warning'), ('val', 'warning')):
        (found,) = report(tmp_path, **{split: dataset}).all_findings
        assert (found.kind, found.severity) == (
            'class_without_pixels',
            severity,
        )
        assert 'in 4 label files has the class bird (2)' in found.sentence
    for k in range(4):
        label(tmp_path / f'data/ann/{k}.png', np.full((8, 12), k % 2 * 255))
    # Only one class is left to learn.
    missing = kinds(tmp_path, train=dataset)
    assert missing == {'class_without_pixels': 'error'}


def test_a_class_without_pixels_next_to_a_broken_file(tmp_path):
    dataset = scenes(tmp_path / 'data', classes=2)
    dataset['metainfo']['classes'].append('bird')
    (tmp_path / 'data/ann/1.png').write_bytes(b'')
    broken, missing = report(tmp_path, train=dataset).all_findings
    assert broken.kind == 'broken_files'
    assert 'no pixel in 3 of 4 label files has the class bird' in (
        missing.sentence
    )


def test_leaks(tmp_path):
    train, val = photos(tmp_path / 'train'), photos(tmp_path / 'val')
    assert kinds(tmp_path, train=train, val=train) == {'same_files': 'warning'}
    shutil.copy(tmp_path / 'train/cat/0.png', tmp_path / 'val/cat/z.png')
    (found,) = report(tmp_path, train=train, val=val).all_findings
    assert (found.kind, found.severity) == ('leak', 'error')
    assert found.split == 'train and val'
    assert found.files == (
        f'{tmp_path}/val/cat/z.png',
        f'{tmp_path}/train/cat/0.png',
    )
    # One in more than a hundred hardly changes a score.
    for k in range(100):
        picture(tmp_path / f'val/dog/more{k}.png', (12, 8))
    assert kinds(tmp_path, train=train, val=val) == {'leak': 'warning'}


def test_the_same_files_with_other_classes(tmp_path):
    train = scenes(tmp_path / 'data')
    val = dict(train, metainfo=dict(classes=['a', 'b']))
    found = report(tmp_path, train=train, val=val, test=train)
    same = [part.same_as for part in found.datasets]
    assert same == ['', '', 'train_dataloader.dataset']
    wrong = {finding.kind for finding in found.datasets[1].findings}
    assert wrong == {'labels_out_of_range'}
