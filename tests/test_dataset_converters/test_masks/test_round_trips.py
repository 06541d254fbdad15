"""Label maps of every exact format come back pixel for pixel."""

import json

import numpy as np
import pytest
from PIL import Image

from tools.dataset_converters.masks import parse_args
from tools.dataset_converters.masks_conversion.conversion import convert

from .writers import (
    LABELS,
    coco_file,
    coco_segmentation,
    cvat_element,
    cvat_file,
    save_image,
    write_labelme,
)

SIZES = {'one': (13, 9), 'sub/two': (8, 11)}
COLORS = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]])


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    return {
        name: rng.integers(0, len(LABELS), size[::-1]).astype(np.uint8)
        for name, size in SIZES.items()
    }


def run(*argv):
    return convert(parse_args([str(a) for a in argv]))


def read(path):
    return np.asarray(Image.open(path))


def check(out, maps):
    """Compare the written dataset with the label maps."""
    assert (out / 'classes.txt').read_text().split() == list(LABELS)
    found = {p.relative_to(out) for p in out.rglob('*') if p.is_file()}
    assert len(found) == 2 * len(maps) + 1
    for name, labels in maps.items():
        assert np.array_equal(read(out / 'labels' / f'{name}.png'), labels)
        (image,) = out.glob(f'images/{name}.*')
        assert Image.open(image).size == labels.shape[::-1]


@pytest.mark.parametrize('kind', ['polygon', 'mask'])
def test_labelme(kind, maps, tmp_path):
    for name, labels in maps.items():
        (tmp_path / 'in' / name).parent.mkdir(parents=True, exist_ok=True)
        write_labelme(tmp_path / 'in', name, labels, kind)
    (tmp_path / 'in' / 'sub' / 'two.json').write_text(
        (tmp_path / 'in' / 'sub' / 'two.json')
        .read_text()
        .replace('sub/two.jpg', 'two.jpg')
    )
    run('labelme', tmp_path / 'in', tmp_path / 'out')
    check(tmp_path / 'out', maps)


@pytest.mark.parametrize('kind', ['polygon', 'runs', 'compressed'])
def test_coco(kind, maps, tmp_path):
    images, annotations = [], []
    for i, (name, labels) in enumerate(maps.items()):
        save_image(tmp_path / 'in' / f'{name}.jpg', labels.shape[::-1])
        images.append((f'{name}.jpg', labels.shape[::-1]))
        annotations += [
            (i, LABELS[v], coco_segmentation(labels == v, kind), {})
            for v in range(1, len(LABELS))
        ]
    source = tmp_path / 'instances.json'
    source.write_text(json.dumps(coco_file(images, annotations)))
    run('coco', source, tmp_path / 'out', '--images', tmp_path / 'in')
    check(tmp_path / 'out', maps)


@pytest.mark.parametrize('kind', ['polygon', 'mask'])
def test_cvat(kind, maps, tmp_path):
    images = []
    for name, labels in maps.items():
        save_image(tmp_path / 'in/images' / f'{name}.jpg', labels.shape[::-1])
        elements = [
            cvat_element(LABELS[value], labels == value, kind)
            for value in range(1, len(LABELS))
        ]
        images.append((f'{name}.jpg', labels.shape[::-1], elements))
    (tmp_path / 'in' / 'annotations.xml').write_text(cvat_file(images))
    run('cvat', tmp_path / 'in', tmp_path / 'out')
    check(tmp_path / 'out', maps)


def as_indexed(labels):
    image = Image.fromarray(labels)
    image.putpalette(COLORS.astype(np.uint8).tobytes())
    return image


def as_gray(labels):
    return Image.fromarray(labels * 80)


def as_16_bit(labels):
    return Image.fromarray(labels.astype(np.uint16) * 1000)


def as_rgb(labels):
    return Image.fromarray(COLORS[labels].astype(np.uint8))


def as_rgba(labels):
    return as_rgb(labels).convert('RGBA')


def as_gray_rgb(labels):
    return as_gray(labels).convert('RGB')


def pairs(values):
    return [f'{v}={n}' for v, n in zip(values, LABELS, strict=True)]


COLOR_PAIRS = pairs([','.join(map(str, color)) for color in COLORS])


def test_png(maps, tmp_path):
    for number, (draw, mapping) in enumerate(
        [
            (as_indexed, pairs(range(4))),
            (as_indexed, COLOR_PAIRS),
            (as_gray, pairs([0, 80, 160, 240])),
            (as_gray_rgb, pairs([0, 80, 160, 240])),
            (as_16_bit, pairs([0, 1000, 2000, 3000])),
            (as_rgb, COLOR_PAIRS),
            (as_rgba, COLOR_PAIRS),
        ]
    ):
        folder = tmp_path / str(number)
        for name, labels in maps.items():
            save_image(folder / 'photos' / f'{name}.jpg', labels.shape[::-1])
            path = folder / 'masks' / f'{name}_L.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(labels).save(path)
            # Without the suffix, it belongs to no image.
            draw(labels).save(path.with_name('other.png'))
        argv = ['--images', folder / 'photos', '--suffix', '_L']
        argv += ['--map', *mapping]
        run('png', folder / 'masks', folder / 'out', *argv)
        check(folder / 'out', maps)


def write_segmentation_masks(folder, maps):
    for name, labels in maps.items():
        save_image(folder / 'JPEGImages' / f'{name}.jpg', labels.shape[::-1])
        path = folder / 'SegmentationClass' / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        as_rgb(labels).save(path)


def test_cvat_segmentation_masks(maps, tmp_path):
    write_segmentation_masks(tmp_path / 'in', maps)
    lines = ['# label:color_rgb:parts:actions']
    for name, color in zip(LABELS, COLORS, strict=True):
        lines.append(f'{name}:{",".join(map(str, color))}::')
    (tmp_path / 'in' / 'labelmap.txt').write_text('\n'.join(lines) + '\n')
    run('png', tmp_path / 'in', tmp_path / 'out')
    check(tmp_path / 'out', maps)


def test_pascal_voc_with_its_void_borders(tmp_path):
    """Palette masks: 1 is an aeroplane, 255 the border."""
    labels = np.array([[0, 0, 255, 1], [0, 255, 1, 1]], dtype=np.uint8)
    image = Image.fromarray(labels)
    image.putpalette(np.arange(768).astype(np.uint8).tobytes())
    (tmp_path / 'SegmentationClass').mkdir()
    image.save(tmp_path / 'SegmentationClass' / '2007_000032.png')
    save_image(tmp_path / 'JPEGImages' / '2007_000032.jpg', (4, 2))
    pairs = ['0=background', '1=aeroplane', '255=__ignore__']
    run('png', tmp_path, tmp_path / 'out', '--map', *pairs)
    written = tmp_path / 'out' / 'labels' / '2007_000032.png'
    assert np.array_equal(read(written), labels)


def test_written_palettes_do_not_change_what_loaders_read(maps, tmp_path):
    """MMSegmentation decodes annotations with mmcv and Pillow."""
    import mmcv

    write_labelme(tmp_path, 'one', maps['one'], 'polygon')
    run('labelme', tmp_path, tmp_path / 'out')
    content = (tmp_path / 'out' / 'labels' / 'one.png').read_bytes()
    found = mmcv.imfrombytes(content, flag='unchanged', backend='pillow')
    assert np.array_equal(found, maps['one'])
