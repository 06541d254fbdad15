"""The data report as text and JSON."""

import json
from dataclasses import asdict

from mmdavpt.checks.data.checked_dataset import Finding
from mmdavpt.checks.data.report import DataReport, DatasetReport
from mmdavpt.cli.data_report.text import write_json, write_text

FILES = tuple(f'b/{k}.png' for k in range(300))
REPORT = DataReport(
    datasets=(
        DatasetReport(
            'train',
            'train_dataloader.dataset',
            1234,
            classes=('cat', '猫の種類', 'dog'),
            images_per_class={'cat': 1000, '猫の種類': 234, 'dog': 0},
            sizes=dict(smallest=(8, 6), median=(9, 9), largest=(9, 9)),
            formats={'JPEG': 1000, 'PNG': 234},
            findings=(Finding('warning', 'odd', 'train', 'is odd', FILES),),
        ),
        DatasetReport(
            'val',
            'val_dataloader.dataset.datasets.0',
            56,
            classes=tuple('abcdefgh'),
            pixels_per_class={k: i for i, k in enumerate('abcdefgh')},
            label_values={0: 5, 255: 9},
        ),
        DatasetReport(
            'val',
            'val_dataloader.dataset.datasets.1',
            1234,
            same_as='train_dataloader.dataset',
        ),
    ),
    findings=(Finding('error', 'leak', 'train and val', 'x\n is in both'),),
)


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
    even = DatasetReport(
        *('val', 'val_dataloader.dataset', 18, '', names),
        images_per_class=dict.fromkeys(names, 2),
    )
    assert write_text(DataReport((even,))).split('\n')[1:] == [
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
    assert content['datasets'][1]['label_values'] == {'0': 5, '255': 9}
    rest = {k: content[k] for k in ('datasets', 'findings')}
    assert rest == json.loads(json.dumps(asdict(REPORT)))
