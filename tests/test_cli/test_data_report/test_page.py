"""The data report as an HTML page: numbers, names and pictures."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmdavpt.checks.data.checked_dataset import Finding
from mmdavpt.checks.data.open_datasets import open_split
from mmdavpt.checks.data.report import DataReport, make_report
from mmdavpt.cli.data_report.page import (
    SIDE,
    draw_sample,
    make_bars,
    write_page,
)
from tests.test_checks.test_data.data_files import (
    CLS,
    config,
    label,
    scenes,
    write,
)

NAMES = ('<b>x</b> & "y"', '信号機', "it's")


class Page(HTMLParser):
    """Tags, their attributes and the text of a page."""

    VOID = ('meta', 'img')

    def __init__(self, page):
        super().__init__()
        self.images, self.texts, self.open, self.widths = [], [], [], []
        self.tags = set()
        self.feed(page)
        assert not self.open
        self.text = ' '.join(' '.join(self.texts).split())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        if tag == 'img':
            self.images.append(attrs['src'])
        elif tag not in self.VOID:
            self.open.append(tag)
        if 'width:' in attrs.get('style', ''):
            self.widths.append(attrs['style'].removeprefix('width:'))
        assert not {'onload', 'onerror', 'href'} & attrs.keys()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if 'style' not in self.open:
            self.texts.append(data)


def decode(uri):
    kind, content = uri.split(';base64,')
    return kind, Image.open(io.BytesIO(base64.b64decode(content)))


def built(split='train', **dataset):
    cfg = Config(config(split, **dataset))
    (part,) = open_split(cfg, split)
    return part


@pytest.fixture
def street(tmp_path):
    dataset = scenes(tmp_path, number=4, size=(300, 400))
    dataset['metainfo'] = dict(
        classes=NAMES, palette=[[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    )
    values = np.zeros((300, 400), int)
    values[:75] = 1  # 25 %
    values[0, :120] = 7  # 0.1 %
    values[150:] = 255
    for k in range(4):
        label(tmp_path / f'ann/{k}.png', values)
    data = built(**dataset)
    for place in data.places(range(4)):
        data.decode(place)
    return data


def test_labels_are_drawn_in_the_colors_of_their_legend(street):
    picture = draw_sample(street, street.samples[1])
    assert picture['legend'] == [
        ((255, 0, 255), '7 (no class)', pytest.approx(0.1)),
        ((128, 128, 128), '255 (ignored)', pytest.approx(50)),
        ([255, 0, 0], '0 <b>x</b> & "y"', pytest.approx(25)),
        ([0, 255, 0], '1 信号機', pytest.approx(24.9)),
    ]
    kind, drawn = decode(picture['labels'])
    assert kind == 'data:image/png' and drawn.size == (SIDE, SIDE * 3 // 4)
    drawn = drawn.convert('RGB')
    assert drawn.getpixel((80, 20)) == (0, 255, 0)
    assert drawn.getpixel((80, 40)) == (255, 0, 0)
    assert drawn.getpixel((80, 100)) == (128, 128, 128)
    kind, drawn = decode(picture['image'])
    assert kind == 'data:image/jpeg' and drawn.mode == 'RGB'


@pytest.mark.parametrize('color_type', ['color', 'unchanged'])
@pytest.mark.parametrize('mode', ['RGB', 'L', 'RGBA'])
def test_images_have_their_own_colors(tmp_path, mode, color_type):
    """Channels are not swapped, whatever the loader returns."""
    picture = Image.new('RGB', (40, 30), (250, 120, 10)).convert(mode)
    (tmp_path / 'a').mkdir()
    picture.save(tmp_path / 'a/1.png')
    load = dict(type='LoadImageFromFile', color_type=color_type)
    part = built(type=CLS, data_root=str(tmp_path), pipeline=[load])
    drawn = draw_sample(part, part.samples[0])
    assert drawn['labels'] == '' and drawn['legend'] == []
    _, shown = decode(drawn['image'])
    expected = picture.convert(shown.mode).getpixel((9, 9))
    assert np.allclose(shown.getpixel((9, 9)), expected, atol=3)


def test_page(street, tmp_path):
    spare = ('other.webp', 'notes.txt', 'img/3.jpg')
    write(tmp_path, *spare, content='')
    pair = [f'{tmp_path}/{name}' for name in ('ann/1.png', 'img/1.jpg')]
    unread = [f'{tmp_path}/{name}' for name in spare]
    bad, good = '<script>x</script>', 'not <read>'
    street.findings = (
        Finding('warning', 'unread_images', 'train', good, tuple(unread)),
        Finding('error', 'label_size', 'train', bad, tuple(pair)),
    )
    page = Page(write_page(DataReport([street])))
    assert not {'b', 'script', 'link'} & page.tags
    # Errors come first. Image and label of a sample are one picture.
    assert page.text.index('<script>x</script>') < page.text.index(
        'not <read>'
    )
    kinds = [decode(image)[0][11:] for image in page.images]
    assert kinds == ['jpeg', 'png', 'png']
    assert page.text.count('cannot be loaded') == 1
    for text in (
        '1 error, 1 warning',
        '400×300 pixels',
        '1 信号機 119,520 (24.9 %)',
        "2 it's 0 (0 %)",
        '7 (no class) 480 (0.1 %)',
        '255 (ignored) 240,000 (50 %)',
        f'{tmp_path}/notes.txt',
        '3 files',
    ):
        assert text in page.text, text
    assert page.widths == ['50.00%', '49.80%', '0.20%', '100.00%']


def test_bars_of_many_classes(tmp_path):
    """The bar of each class is its own, also of the 256th and of namesakes."""
    write(tmp_path, *(f'{k:03}/1.jpg' for k in range(258)), '255/2.jpg')
    names = ['crane' if k in (3, 9) else f'class {k}' for k in range(258)]
    given = dict(type=CLS, data_root=str(tmp_path), pipeline=[], classes=names)
    cfg = Config(config('train', **given) | config('val', **given))
    cfg.work_dir = str(tmp_path / 'run')
    report = make_report(cfg, ['train', 'val'])
    train, val = report.datasets
    assert report.summaries[0]['images_per_class']['crane (9)'] == 1
    assert not report.summaries[1]['images_per_class']
    bars = make_bars(train)
    counts = [bar['count'] for bar in bars]
    assert counts == [2 if k == 255 else 1 for k in range(258)]
    assert [bar['name'] for bar in bars[253:256]] == [
        f'{k} class {k}' for k in (253, 254, 255)
    ]
    assert not any(bar['color'] or bar['wrong'] for bar in bars)
    assert (bars[255]['width'], bars[0]['width']) == (100, 50)
    assert val.same_as == 'train_dataloader.dataset'
    page = Page(write_page(report))
    assert 'those of train_dataloader.dataset' in page.text
    assert page.text.count('class 257') == 1


def test_long_lists_of_files():
    files = tuple(f'a/{k}.txt' for k in range(1500))
    finding = Finding('warning', 'k', 'train', 'x', files)
    page = Page(write_page(DataReport((), (finding,))))
    assert '1,500 files' in page.text and 'a/99.txt' in page.text
    assert 'and 1,400 more in the JSON file' in page.text
    assert not page.images


def test_findings_of_one_val_and_test_set_are_reported_once(tmp_path):
    write(tmp_path / 'train', 'a/1.jpg', 'b/1.jpg')
    label(tmp_path / 'train/b/1.jpg', np.eye(4) * 255)
    for name in ('a', 'b'):
        (tmp_path / 'val' / name).mkdir(parents=True)
        source = tmp_path / f'train/{name}/1.jpg'
        (tmp_path / f'val/{name}/2.jpg').write_bytes(source.read_bytes())
    train, val = (
        dict(type=CLS, data_root=str(tmp_path), data_prefix=s, pipeline=[])
        for s in ('train', 'val')
    )
    cfg = config(**train) | config('val', **val) | config('test', **val)
    cfg = Config(cfg | dict(work_dir=str(tmp_path / 'run')))
    report = make_report(cfg, ['train', 'val', 'test'])
    found = [(f.kind, f.split) for f in report.findings]
    assert found == [('leak', 'train and val')]
    cfg.val_dataloader.dataset.data_prefix = 'train'
    report = make_report(cfg, ['train', 'val', 'test'])
    found = [(f.kind, f.split) for f in report.findings]
    assert found == [
        ('same_files', 'train and val'),
        ('leak', 'train and test'),
    ]
