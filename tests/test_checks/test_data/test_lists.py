"""Lines of lists that a dataset misreads are named with their numbers."""

import re

import pytest
from mmpretrain.datasets import CustomDataset
from mmseg.datasets import BaseSegDataset

from mmdavpt.checks.data.list_findings import (
    class_list_findings,
    list_findings,
)
from mmdavpt.datasets.list_defects import (
    class_list_defects,
    sample_list_defects,
)
from mmdavpt.errors import UsageError

from .data_files import CLS, check, scenes, write


@pytest.fixture
def images(tmp_path):
    write(tmp_path, 'cat/1.jpg', 'cat/2.jpg', 'dog/my 1.jpg')
    return str(tmp_path)


def listed(folder, *lines):
    """Write lines, the last one without an end; return their file."""
    (folder / 'lines.txt').write_text('\n'.join([*lines, '']), 'utf-8')
    return str(folder / 'lines.txt')


@pytest.mark.parametrize(
    'line, kind, reason',
    [
        ('', 'blank_line', 'is blank; remove it'),
        ('cat/1.jpg\t0', 'wrong_fields', 'has a tab between path and label'),
        ('cat/1.jpg,0', 'wrong_fields', 'has , between path and label'),
        ('cat/1.jpg, 0', 'wrong_fields', 'has , between path and label'),
        ('cat/1.jpg  0', 'wrong_fields', 'has two spaces between path and'),
        ('cat/1.jpg', 'wrong_fields', "has no label: 'cat/1.jpg'; write path"),
        ('cat/1.jpg cat', 'wrong_fields', 'which is not a class number'),
        ('cat/1.jpg 1.0', 'wrong_fields', 'which is not a class number'),
        ('\ufeffcat/1.jpg 0', 'byte_order_mark', 'begins with a byte order'),
        ('cat/9.jpg 0', 'missing_file', 'cat/9.jpg, which does not exist$'),
        ('cat/1.JPG 0', 'missing_file', "not exist; write 'cat/1.jpg', wh"),
        ('cat\\1.jpg 0', 'missing_file', "not exist; write 'cat/1.jpg', wh"),
        (r'C:\data\cat\1.jpg 0', 'missing_file', "; write 'cat/1.jpg', which"),
        (
            '/data/cat/1.jpg 0',
            'missing_file',
            "; write 'cat/1.jpg', which the",
        ),
        (
            'train/cat/1.jpg 0',
            'missing_file',
            "; write 'cat/1.jpg', which the",
        ),
        ('cat/1.jpg 0 1', 'missing_file', "; write 'cat/1.jpg', which the da"),
        ('cat/2.jpg 0', 'repeated_line', "repeats 'cat/2.jpg' of line 1"),
        ('cat/2.jpg 1', 'conflicting_labels', 'the label 1, line 1 0; remove'),
    ],
)
def test_each_kind_of_line(images, tmp_path, line, kind, reason):
    file = listed(tmp_path, 'cat/2.jpg 0', 'dog/my 1.jpg 1', line)
    ((number, found, what),) = sample_list_defects(file, images, True)
    assert (number, found) == (3, kind)
    assert re.search(reason, what)


def test_lines_are_read_as_the_dataset_reads_them(images, tmp_path):
    """Lines without a finding are read; others fail or are missing."""
    absolute = f'{images}/cat/1.jpg'
    for line, good in (
        (' cat/1.jpg 0 ', True),
        ('dog/my 1.jpg +1', True),
        (f'{absolute} 0', True),
        ('cat/1.jpg\t0', False),
        ('cat/1.jpg  0', False),
        ('\ufeffcat/1.jpg 0', False),
    ):
        (tmp_path / 'list.txt').write_text(line + '\r\n', encoding='utf-8')
        file = str(tmp_path / 'list.txt')
        found = list(sample_list_defects(file, images, True))
        try:
            dataset = CustomDataset(images, ann_file='list.txt')
            path = dataset.get_data_info(0)['img_path']
            read = (tmp_path / path).is_file()
        except ValueError:
            read = False
        assert read == good == (not found), line
    # Without labels, spaces belong to the path.
    file = listed(tmp_path, 'cat/1.jpg ')
    ((_, kind, what),) = sample_list_defects(file, images, False)
    assert kind == 'missing_file' and "write 'cat/1.jpg'" in what


def test_lists_of_segmentation(tmp_path):
    config = scenes(tmp_path, number=3, ann_file='train.txt')
    write(tmp_path, 'train.txt', content='0\n1.jpg\n2 \n\nimg/2\n0 0\n7\n')
    del config['type']
    found = list_findings(BaseSegDataset(**config), 'train')
    assert [(f.kind, f.files) for f in found] == [
        (
            'list_missing_file',
            tuple(f'{tmp_path}/train.txt:{k}' for k in (2, 5, 6, 7)),
        ),
        ('list_blank_line', (f'{tmp_path}/train.txt:4',)),
    ]
    assert found[0].sentence.startswith(
        f'{tmp_path}/train.txt, line 2 names {tmp_path}/img/1.jpg.jpg, which '
        f"does not exist; write '1', which the dataset reads as {tmp_path}/im"
    )
    for line in ('img/1', '1 ann/1.png', '\\img\\1'):
        ((_, _, what),) = sample_list_defects(
            listed(tmp_path, line),
            f'{tmp_path}/img',
            labelled=False,
            suffix='.jpg',
        )
        assert "; write '1', which" in what


def test_findings_count_lines_and_know_the_split(images, tmp_path):
    lines = ['cat/1.jpg 0'] * 9 + ['cat/2.jpg']
    write(tmp_path, 'list.txt', content='\n'.join(lines))
    dataset = CustomDataset(images, ann_file='list.txt', lazy_init=True)
    twice, fields = list_findings(dataset, 'train')
    file = tmp_path / 'list.txt'
    assert twice.sentence == (
        f"{file}, line 2 repeats 'cat/1.jpg' of line 1 (also line 7 "
        '(such as 3, 4, 5, 6, 7))'
    )
    assert twice.files == tuple(f'{file}:{k}' for k in range(2, 10))
    assert (twice.kind, twice.severity) == ('list_repeated_line', 'warning')
    assert (fields.severity, fields.split) == ('error', 'train')
    # In a test, a repeated image counts twice.
    assert list_findings(dataset, 'val')[0].severity == 'error'
    file.write_bytes('cat/1.jpg 0\ncafé/1.jpg 1\n'.encode('latin-1'))
    (finding,) = list_findings(dataset, 'val')
    assert 'line 2 is not UTF-8' in finding.sentence
    with pytest.raises(UsageError, match=r'list.txt, line 2 is not UTF-8'):
        check(type=CLS, data_root=images, ann_file='list.txt')


def test_lists_of_classes(tmp_path):
    lines = ['\ufeffcat', 'dog ', 'eel', '', 'eel', 'traffic light']
    defects = class_list_defects(listed(tmp_path, *lines))
    assert [(i, kind) for i, kind, _ in defects] == [
        (1, 'byte_order_mark'),
        (4, 'blank_line'),
    ]
    file = tmp_path / 'classes.txt'
    file.write_text('cat\ndog\n\n')
    metainfo = dict(classes=str(file))
    for node in (
        dict(type=CLS, classes=str(file)),
        dict(dataset=dict(type=CLS, metainfo=metainfo)),
    ):
        (finding,) = class_list_findings(node, 'train')
        assert finding.sentence == (
            f'{file}, line 3 is blank, but counts as a class; remove it'
        )
    own = dict(type='mmdavpt.ImageFolder', metainfo=metainfo)
    assert class_list_findings(own, 'train') == []
    assert class_list_findings(dict(type=CLS, classes='no.txt'), 'val') == []
    assert class_list_findings(dict(type=CLS, classes=['a']), 'val') == []
