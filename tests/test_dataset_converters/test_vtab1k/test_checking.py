"""Verify task folders: every kind of damage, and other copies."""

import pytest
from PIL import Image

from mmdavpt.errors import UsageError
from tools.dataset_converters.checksums import CHECKSUMS_FILE
from tools.dataset_converters.vtab1k_conversion.checking import (
    task_defects,
    task_folders,
)

from .fakes import TASK, write


def check(root, check_size=False, **kwargs):
    return task_defects(str(root), TASK, check_size=check_size, **kwargs)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path)
    return tmp_path / 'kitti'


@pytest.fixture
def copy(tmp_path):
    """A task as others write it: JPEG, no checksums, blocks mixed."""
    root = tmp_path / 'kitti'
    rows = dict(train800=[0, 1, 2], val200=[3], test=[0, 0])
    rows['train800val200'] = [3, 0, 1, 2]
    for split, labels in rows.items():
        (root / 'images' / split).mkdir(parents=True)
        names = [f'images/{split}/{i:06d}.jpg' for i in range(len(labels))]
        for name in names:
            Image.new('RGB', (8, 8)).save(root / name)
        lines = [f'{n} {y}\n' for n, y in zip(names, labels, strict=True)]
        (root / f'{split}.txt').write_text(''.join(lines))
    return root


@pytest.mark.parametrize('num_workers', [0, 2])
def test_complete_folder_has_no_defect(folder, num_workers):
    assert check(folder, num_workers=num_workers) == []


def test_complete_copy_has_no_defect(copy):
    assert check(copy) == []


@pytest.mark.parametrize('num_workers', [0, 2])
def test_find_corrupted_image(folder, num_workers):
    path = folder / 'images/test/000002.png'
    content = bytearray(path.read_bytes())
    content[-20] ^= 255
    path.write_bytes(content)
    (defect,) = check(folder, num_workers=num_workers)
    assert defect.startswith(f'{path} cannot be decoded')


def test_find_corrupted_image_of_a_copy(copy):
    path = copy / 'images/test/000001.jpg'
    path.write_bytes(path.read_bytes()[:300])
    (defect,) = check(copy)
    assert str(path) in defect and 'cannot be decoded' in defect
    path.write_bytes(b'')
    (defect,) = check(copy)
    assert str(path) in defect and 'cannot be decoded' in defect


def test_find_replaced_image_by_checksum(folder):
    path = folder / 'images/test/000002.png'
    Image.new('RGB', (7, 5)).save(path)
    assert check(folder) == [f'{path} differs from {CHECKSUMS_FILE}']


def test_find_missing_files(folder):
    (folder / 'images/val200/000001.png').unlink()
    (folder / 'classes.txt').unlink()
    assert sorted(check(folder)) == [
        f'{folder / name} does not exist'
        for name in ('classes.txt', 'images/val200/000001.png')
    ]


def test_find_missing_image_of_a_copy(copy):
    path = copy / 'images/val200/000000.jpg'
    path.unlink()
    assert check(copy) == [f'{path} does not exist']


def test_find_wrong_sizes(copy):
    defects = check(copy, check_size=True)
    assert len(defects) == 4
    assert 'val200.txt has 1 images, but KITTI/distance' in defects[1]
    assert 'VTAB-1k has 711' in defects[3]


def test_find_broken_lists(copy):
    (copy / 'train800.txt').write_text('images/train800/000000.jpg 4\n')
    (copy / 'val200.txt').unlink()
    defects = check(copy)
    assert len(defects) == 2
    assert 'train800.txt, line 1 should be' in defects[0]
    assert 'val200.txt cannot be read' in defects[1]


def test_find_parts_that_do_not_add_up(copy):
    path = copy / 'val200.txt'
    path.write_text(path.read_text().replace(' 3', ' 2'))
    (defect,) = check(copy)
    assert 'differ from those of train800.txt' in defect


def test_find_changed_list(folder):
    path = folder / 'test.txt'
    path.write_text(path.read_text().replace('.png 0', '.png 1'))
    assert check(folder) == [f'{path} differs from {CHECKSUMS_FILE}']


def test_find_images_without_checksum(folder):
    path = folder / CHECKSUMS_FILE
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(''.join(x for x in lines if 'test/000001' not in x))
    (defect,) = check(folder)
    assert '1 listed images, such as images/test/000001.png' in defect


def test_find_broken_checksums(folder):
    (folder / CHECKSUMS_FILE).write_text('0123  test.txt\n')
    (defect,) = check(folder)
    assert f'{CHECKSUMS_FILE}, line 1 should be' in defect


def test_find_unfinished_conversion(folder):
    (folder / CHECKSUMS_FILE).unlink()
    (defect,) = check(folder)
    assert 'is incomplete' in defect and 'run the converter' in defect


def test_find_wrong_class_names(copy):
    (copy / 'classes.txt').write_text('near\nfar\n')
    (defect,) = check(copy)
    assert "names of 4 classes, but is ['near', 'far'];" in defect


def test_find_task_folders(tmp_path, copy):
    assert task_folders(str(copy)) == {str(copy): TASK}
    other = copy.rename(tmp_path / 'clerv_count')
    found = task_folders(str(tmp_path))
    assert {f: t.name for f, t in found.items()} == {str(other): 'clevr_count'}
    with pytest.raises(UsageError, match='neither lists nor folders'):
        task_folders(str(tmp_path / 'nowhere'))
