"""Write tasks of VTAB-1k: reading back, resuming, other contents."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from mmdavpt.datasets import VTAB1k
from mmdavpt.errors import UsageError
from tools.dataset_converters.checksums import CHECKSUMS_FILE, read_checksums
from tools.dataset_converters.vtab1k_conversion import writing
from tools.dataset_converters.vtab1k_conversion.writing import MANIFEST

from .fakes import NAMES, contents, example, picture, splits, write


def read(root, split):
    return VTAB1k('kitti', split, str(root), check_size=False)


@pytest.mark.parametrize('num_workers', [0, 2])
def test_reader_reads_written_lists(tmp_path, num_workers):
    written = write(tmp_path, num_workers=num_workers)
    assert written == dict(train800=5, val200=2, train800val200=7, test=6)
    for split, examples in splits().items():
        dataset = read(tmp_path, split)
        assert dataset.metainfo['classes'] == tuple(NAMES)
        assert len(dataset) == len(examples)
        for i, expected in enumerate(examples):
            info = dataset.get_data_info(i)
            assert info['gt_label'] == expected.label
            assert info['img_path'].endswith(f'images/{split}/{i:06d}.png')
            # Nothing is lost, to the last bit.
            assert np.array_equal(
                Image.open(info['img_path']), picture(expected.key)
            )


def test_manifest_of_images(tmp_path):
    write(tmp_path)
    manifest = json.loads((tmp_path / 'kitti' / MANIFEST).read_text())
    assert manifest['task'] == 'kitti' and manifest['source'] == 'fake'
    assert manifest['counts'] == dict(
        train800=5, val200=2, train800val200=7, test=6
    )
    assert manifest['num_classes'] == 4


def test_sha256sum_reads_the_checksums(tmp_path):
    if shutil.which('sha256sum') is None:
        pytest.skip('there is no sha256sum')
    write(tmp_path)
    folder = tmp_path / 'kitti'
    names = set(contents(folder)) - {CHECKSUMS_FILE}
    assert set(read_checksums(str(folder))) == names
    command = ['sha256sum', '-c', '--strict', '--quiet', CHECKSUMS_FILE]
    assert subprocess.run(command, cwd=folder).returncode == 0
    (folder / 'val200.txt').write_text('')
    assert subprocess.run(command, cwd=folder).returncode == 1


@pytest.mark.parametrize('stop', [0, 1, 6, 13, 19])
def test_resume_to_the_same_bytes(tmp_path, monkeypatch, stop):
    write(tmp_path / 'complete')
    complete = contents(tmp_path / 'complete')
    opened = []

    def interrupted(path, write_content):
        """Leave a partial file at the interruption."""
        if path.endswith('.png'):
            opened.append(path)
            if len(opened) > stop:
                with open(f'{path}.123.tmp', 'wb') as file:
                    file.write(b'half')
                raise KeyboardInterrupt
        replace_file(path, write_content)

    replace_file = writing.replace_file
    monkeypatch.setattr(writing, 'replace_file', interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / 'stopped')
    assert not (tmp_path / 'stopped/kitti' / CHECKSUMS_FILE).exists()
    kept = [
        name
        for name in contents(tmp_path / 'stopped')
        if name.endswith('.png')
    ]
    assert len(kept) == stop
    monkeypatch.undo()
    times = {
        name: (tmp_path / 'stopped' / name).stat().st_mtime_ns for name in kept
    }
    assert sum(write(tmp_path / 'stopped').values()) == 20 - stop
    assert contents(tmp_path / 'stopped') == complete
    for name, time in times.items():
        assert (tmp_path / 'stopped' / name).stat().st_mtime_ns == time


def test_second_run_writes_no_image(tmp_path):
    write(tmp_path)
    before = contents(tmp_path)
    assert set(write(tmp_path).values()) == {0}
    assert contents(tmp_path) == before


def test_rewrite_deleted_image(tmp_path):
    write(tmp_path)
    before = contents(tmp_path)
    (tmp_path / 'kitti/images/test/000003.png').unlink()
    (tmp_path / 'kitti/test.txt').unlink()
    assert write(tmp_path)['test'] == 1
    assert contents(tmp_path) == before


def test_keep_checksum_of_changed_image(tmp_path):
    write(tmp_path)
    path = tmp_path / 'kitti/images/test/000003.png'
    path.write_bytes(path.read_bytes()[:-1])
    checksums = (tmp_path / 'kitti' / CHECKSUMS_FILE).read_bytes()
    with pytest.raises(UsageError, match='1 files .*images/test/000003.png'):
        write(tmp_path)
    assert (tmp_path / 'kitti' / CHECKSUMS_FILE).read_bytes() == checksums


@pytest.mark.parametrize(
    'change',
    [
        dict(origin=dict(source='another', images='none')),
        dict(parts=splits(test=5)),
        dict(parts=dict(splits(), test=[example(i) for i in range(6)])),
    ],
)
def test_reject_other_selection(tmp_path, change):
    write(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(UsageError, match='images with another .*delete it'):
        write(tmp_path, **change)
    assert contents(tmp_path) == before


def test_replace_older_manifest(tmp_path):
    write(tmp_path)
    origin = dict(source='fake', images='none', written_by='a newer version')
    assert set(write(tmp_path, origin=origin).values()) == {0}
    manifest = json.loads((tmp_path / 'kitti' / MANIFEST).read_text())
    assert manifest['written_by'] == 'a newer version'


def test_refuses_folders_with_other_files(tmp_path):
    (tmp_path / 'kitti').mkdir()
    (tmp_path / 'kitti/train800.txt').write_text('images/train800/0.jpg 1\n')
    with pytest.raises(UsageError, match='train800.txt exists'):
        write(tmp_path)
    assert list(contents(tmp_path)) == ['kitti/train800.txt']


def test_report_unexpected_image(tmp_path):
    write(tmp_path)
    (tmp_path / 'kitti/images/test/000006.png').write_bytes(b'')
    with pytest.raises(
        UsageError, match='unexpected files, such as 000006.png'
    ):
        write(tmp_path)


def test_report_broken_manifest(tmp_path):
    write(tmp_path)
    (tmp_path / 'kitti' / MANIFEST).write_text('{')
    with pytest.raises(UsageError, match=f'{MANIFEST} cannot be read'):
        write(tmp_path)


def test_writes_no_unknown_names(tmp_path):
    write(tmp_path, names=None)
    assert not (tmp_path / 'kitti/classes.txt').exists()
    assert read(tmp_path, 'test').metainfo['classes'] == tuple('0123')
