"""The data report as text and JSON."""

import json
from dataclasses import replace

from mmdavpt.checks.data.checked_dataset import CheckedDataset, Finding
from mmdavpt.checks.data.report import DataReport
from mmdavpt.cli.data_report.text import write_json, write_text
from mmdavpt.datasets.file_record import FileRecord

FILES = tuple(f'b/{k}.png' for k in range(300))
TRAIN = CheckedDataset(
    'train',
    'train_dataloader.dataset',
    range(1234),
    classes=('cat', '猫の種類', 'dog'),
    ignore_index=None,
    samples=[dict(gt_label=int(k >= 1000)) for k in range(1234)],
    images=[
        FileRecord(
            f'{k}.jpg',
            format='JPEG' if k < 1000 else 'PNG',
            shape=(9, 9, 3) if k else (6, 8, 3),
        )
        for k in range(1234)
    ],
    labels=[],
    findings=[Finding('warning', 'odd', 'train', 'is odd', FILES)],
)
PIXELS = {k: k for k in range(1, 8)} | {255: 9}
REPORT = DataReport(
    datasets=[
        TRAIN,
        CheckedDataset(
            'val',
            'val_dataloader.dataset.datasets.0',
            range(56),
            classes=tuple('abcdefgh'),
            ignore_index=255,
            samples=[{}],
            images=[FileRecord('0.jpg')],
            labels=[FileRecord('0.png', values=PIXELS)],
        ),
        replace(
            TRAIN,
            split='val',
            path='val_dataloader.dataset.datasets.1',
            same_as=TRAIN.path,
        ),
    ],
    findings=[Finding('error', 'leak', 'train and val', 'x\n is in both')],
)
REPORT.datasets[2].findings = ()


def test_text():
    table, notes, findings, total = write_text(REPORT).split('\n\n')
    second = 'val_dataloader.dataset.datasets.1'
    size = 'smallest, median, largest'
    assert table.split('\n') == [
        f'{"":33}  images  classes  {size}  formats',
        f'{"train":33}  1,234   3        {"8×6, 9×9":25}  JPEG, PNG',
        'val_dataloader.dataset.datasets.0  56      8',
        f'{second}  1,234   {"":34}  the files of train_dataloader.dataset',
    ]
    assert notes.split('\n') == [
        'train: images per class: cat 1,000, 猫の種類 234, dog 0',
        'val_dataloader.dataset.datasets.0: pixels per class: 0 (a) to 7 (h), '
        'median 4',
    ]
    assert findings.split('\n') == [
        r'error: train and val: x\n is in both',
        'warning: train: is odd',
    ]
    assert total == '1 error, 1 warning'
    names = tuple('abcdefghi')
    even = CheckedDataset(
        *('val', 'val_dataloader.dataset', range(18), names, None),
        samples=[dict(gt_label=k // 2) for k in range(18)],
        images=[FileRecord('')] * 18,
        labels=[],
    )
    assert write_text(DataReport([even])).split('\n')[1:] == [
        'val  18      9',
        '',
        'val: images per class: 2 each',
        '',
        'no errors, no warnings',
    ]


def test_names_with_bytes_that_are_no_text():
    odd = b'caf\xe9.jpg'.decode('utf-8', 'surrogateescape')
    report = DataReport((), (Finding('error', 'k', 'val', odd, (odd,)),))
    assert r'error: val: caf\udce9.jpg' in write_text(report)
    write_text(report).encode()
    assert json.loads(write_json(report))['findings'][0]['files'] == [odd]


def test_json():
    content = json.loads(write_json(REPORT))
    assert content['version'] == 1
    assert content['summary'] == '1 error, 1 warning'
    train = content['datasets'][0]
    assert train['findings'][0]['files'] == list(FILES)
    assert train['images_per_class']['猫の種類'] == 234
    # Everything is there; keys of values become text.
    labels = {str(value): number for value, number in PIXELS.items()}
    assert content['datasets'][1]['label_values'] == labels
    assert content['findings'][0]['split'] == 'train and val'
    # One with the same files as another has the same keys, without values.
    same = content['datasets'][2]
    assert same.keys() == train.keys()
    assert same['num_samples'] == 1234 and same['same_as'] == TRAIN.path
    assert [k for k in same if same[k]] == [
        *('split', 'path', 'num_samples', 'same_as')
    ]
