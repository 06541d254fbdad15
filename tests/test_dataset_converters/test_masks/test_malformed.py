"""A malformed source gives one sentence that names the file."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from mmdavpt.errors import UsageError
from tools.dataset_converters.masks import convert, parse_args

from .writers import (
    coco_file,
    cvat_file,
    labelme_file,
    labelme_shape,
    save_image,
)

SIZE = 6, 5
SQUARE = [[1, 1], [4, 1], [4, 4], [1, 4]]
FLAT = [1, 1, 4, 1, 4, 4, 1, 4]
NAN = float('nan')


def fails(problem, *argv):
    """Convert a source that is malformed; nothing may be written."""
    out = argv[0].parent / 'out'
    with pytest.raises(UsageError) as caught:
        kind = 'labelme' if len(argv) == 1 else argv[1]
        argv = [kind, argv[0], out, *argv[2:]]
        convert(parse_args([str(a) for a in argv]))
    sentence = str(caught.value)
    assert re.search(problem, sentence), sentence
    assert '\n' not in sentence and len(sentence) < 400
    assert not list(out.parent.glob('out*'))
    return sentence


def labelme(*shapes, **others):
    return labelme_file('a.jpg', SIZE, shapes) | others


def nested(depth):
    return '[' * depth + ']' * depth


@pytest.mark.parametrize(
    'content, problem',
    [
        (b'', 'Expecting value'),
        (b'{"shapes": [', 'malformed'),
        (b'[1, 2]', 'object in braces'),
        (b'\xff\xfe\x00', 'malformed'),
        ('{"caf\xe9": 1}'.encode('latin-1'), 'malformed'),
        (nested(100_000).encode(), 'nested too deeply'),
        (b'{}', "lacks 'shapes'"),
        (b'{"shapes": null}', 'malformed'),
        (b'{"shapes": [3]}', 'malformed'),
        (b'{"shapes": {"a": 3}}', 'malformed'),
        (b'{"shapes": [{"points": []}]}', "lacks 'label'"),
    ],
)
def test_labelme_files(content, problem, tmp_path):
    save_image(tmp_path / 'in' / 'a.jpg', SIZE)
    (tmp_path / 'in' / 'a.json').write_bytes(content)
    sentence = fails(problem, tmp_path / 'in')
    assert 'a.json' in sentence


@pytest.mark.parametrize(
    'content, problem',
    [
        (labelme(labelme_shape('', SQUARE)), 'a label should be text'),
        (labelme(labelme_shape(None, SQUARE)), 'a label should be text'),
        (labelme(labelme_shape('a\nb', SQUARE)), 'several lines'),
        (labelme(labelme_shape('\ud800', SQUARE)), 'surrogates not allowed'),
        (labelme(labelme_shape('a', [[1, 2], [3]])), 'malformed'),
        (labelme(labelme_shape('a', [[1, 2, 3]])), 'no pairs'),
        (
            labelme(labelme_shape('a', [[NAN, 1]])),
            'shape 0 of .* not a number',
        ),
        (labelme(labelme_shape('a', [[1e300, 1], *SQUARE])), 'too large'),
        (labelme(labelme_shape('a', ['x', 'y'])), 'malformed'),
        (labelme(labelme_shape('a', SQUARE, 'cuboid')), "'cuboid' is unknown"),
        (labelme(labelme_shape('a', SQUARE, 'circle')), '4 points, not 2'),
        (labelme(labelme_shape('a', SQUARE, 'mask')), "lacks 'mask'"),
        (
            labelme(labelme_shape('a', SQUARE, 'mask', mask='bm8=')),
            'cannot identify',
        ),
        (
            labelme(labelme_shape('a', SQUARE, 'mask', mask=7)),
            'malformed',
        ),
        (labelme(labelme_shape('a', [], 'mask', mask='')), 'malformed'),
        (labelme(imageWidth=60), '60 x 5 pixels, but its image is loaded'),
        (labelme(imageWidth='wide'), 'malformed'),
        (labelme(imageWidth=[6]), 'malformed'),
        (labelme(imagePath='b.jpg'), '1 of 1 images were not found'),
        (labelme(imagePath=None), '1 of 1 images were not found'),
        (labelme(imagePath=5), 'malformed'),
        (labelme(imagePath='b.jpg', imageData='ยย'), 'malformed'),
        (labelme(imagePath='b.jpg', imageData='bm8='), 'cannot identify'),
    ],
)
def test_labelme_shapes(content, problem, tmp_path):
    save_image(tmp_path / 'in' / 'a.jpg', SIZE)
    (tmp_path / 'in' / 'a.json').write_text(json.dumps(content))
    assert 'a.json' in fails(problem, tmp_path / 'in')


def coco(segmentation, label='cat', **others):
    return coco_file([('a.jpg', SIZE)], [(0, label, segmentation, others)])


@pytest.mark.parametrize(
    'content, problem',
    [
        ({}, "lacks 'categories'"),
        ({'categories': {}, 'images': []}, "lacks 'annotations'"),
        (coco([FLAT[:-1]]), 'annotation 0 of .* 7 coordinates'),
        (coco([FLAT[:-1] + [NAN]]), 'not a number'),
        (coco([FLAT[:-1] + ['x']]), 'malformed'),
        (coco(FLAT), 'malformed'),
        (coco('abc'), 'malformed'),
        (coco([FLAT], image_id=3), 'no image has the id 3'),
        (coco([FLAT], image_id=[3]), 'malformed'),
        (coco([FLAT], category_id=1), 'no category has the id 1'),
        (coco([FLAT], iscrowd=1), '--crowd'),
        (coco(dict(size=[5, 6])), "lacks 'counts'"),
        (coco(dict(size=[6, 5], counts=[30])), 'for 5 x 6 pixels'),
        (coco(dict(size=[5, 6], counts=[29])), '29 pixels'),
        (coco(dict(size=[5, 6], counts='zz')), 'no part of run lengths'),
        (coco(dict(size=5, counts=[30])), 'malformed'),
        (coco([FLAT]) | {'images': [{'id': 1}]}, "lacks 'file_name'"),
        (coco([FLAT]) | {'annotations': 3}, 'malformed'),
        (
            coco_file([('a.jpg', SIZE), ('a.jpg', SIZE)], []),
            'have the same output',
        ),
        (coco_file([('b.jpg', SIZE)], []), 'not found'),
        (coco_file([('a.jpg', (5, 6))], []), 'rotate the file'),
    ],
)
def test_coco(content, problem, tmp_path):
    save_image(tmp_path / 'photos' / 'a.jpg', SIZE)
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(content))
    argv = ['coco', '--images', tmp_path / 'photos']
    assert 'instances.json' in fails(problem, path, *argv)


ENTITIES = ''.join(
    f'<!ENTITY {chr(n + 1)} "{f"&{chr(n)};" * 10}">'
    for n in range(ord('a'), ord('j'))
)
BOMB = (
    f'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">{ENTITIES}]>'
    '<annotations>&j;</annotations>'
)
OUTSIDE = (
    '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    '<annotations>&x;</annotations>'
)


@pytest.mark.parametrize(
    'content, problem',
    [
        ('', 'no element found'),
        ('<annotations><image>', 'malformed'),
        ('<annotations></annotations>', 'no <image>'),
        ('<a><image/></a>', 'no <image>'),
        ('<annotations><track/></annotations>', 'holds tracks'),
        (BOMB, 'document type'),
        (OUTSIDE, 'document type'),
        ('<annotations><image name="a.jpg"/></annotations>', "lacks 'width'"),
        ('<annotations><image/></annotations>', 'lacks'),
        (
            '<annotations><image name="a.jpg" width="x" height="3"/>'
            '</annotations>',
            'malformed',
        ),
        ('<polygon points="1,1;4,1;4,4"/>', 'a label should be text'),
        ('<polygon label="a"/>', "lacks 'points'"),
        ('<polygon label="a" points=""/>', 'malformed'),
        ('<polygon label="a" points="1,1;4"/>', 'malformed'),
        ('<polygon label="a" points="1,nan;4,4;4,1"/>', 'not a number'),
        ('<polygon label="a" points="1;4;4;1"/>', 'no pairs'),
        ('<blob label="a" points="1,1"/>', '<blob> is unknown'),
        ('<box label="a" xtl="1"/>', "lacks 'ytl'"),
        ('<ellipse label="a" cx="1" cy="inf" rx="1" ry="1"/>', 'not a number'),
        (
            '<mask label="a" rle="3, 3" left="0" top="0" width="2" '
            'height="2"/>',
            '6 pixels, but the mask has 2 x 2',
        ),
        (
            '<mask label="a" rle="x" left="0" top="0" width="2" height="2"/>',
            'malformed',
        ),
        ('<mask label="a" rle="4" left="0"/>', "lacks 'top'"),
        ('<box label="a" z_order="x" xtl="1"/>', 'malformed'),
    ],
)
def test_cvat(content, problem, tmp_path):
    save_image(tmp_path / 'in' / 'a.jpg', SIZE)
    if 'label=' in content or content.startswith('<polygon'):
        content = cvat_file([('a.jpg', SIZE, [content])])
    path = tmp_path / 'in' / 'annotations.xml'
    path.write_text(content)
    assert 'annotations.xml' in fails(problem, tmp_path / 'in', 'cvat')


def write_mask(folder, pixels, name='a.png'):
    save_image(folder / 'images' / 'a.jpg', SIZE)
    (folder / 'masks').mkdir()
    Image.fromarray(pixels).save(folder / 'masks' / name)


GRAY = np.zeros(SIZE[::-1], np.uint8)
GRAY[0] = 255
COLOR = np.zeros((*GRAY.shape, 3), np.uint8)
COLOR[0] = 9, 8, 7


@pytest.mark.parametrize(
    'pixels, mapping, problem',
    [
        (GRAY, (), r'no --map names the values 0 \(24 px\), 255 \(6 px\)'),
        (GRAY, ['0=sky'], r'255 \(6 px\)'),
        (COLOR, (), r'0,0,0 \(24 px\), 9,8,7 \(6 px\)'),
        (COLOR, ['0,0,0=sky'], r'9,8,7 \(6 px\)'),
        (COLOR, ['0=sky', '1=cat'], 'in color'),
        (GRAY.T.copy(), ['0=sky', '255=cat'], '5 x 6 pixels, but its image'),
        (GRAY.astype(np.float32), ['0=sky'], 'no whole numbers'),
        (GRAY, ['0=sky', '1,2,3=cat'], 'both numbers and colors'),
        (GRAY, ['0=sky', '0=cat'], "0 is also 'sky'"),
        (GRAY, ['0,0,256=sky'], 'no value of a pixel'),
        (GRAY, ['x=sky'], 'malformed'),
        (GRAY, ['0='], 'a label should be text'),
        (GRAY, ['adk'], 'no file, no VALUE=NAME'),
        (GRAY, ['0=sky', '255=cat', '--ignore', 'sky', 'cat'], 'no label is'),
        (GRAY, ['0=sky', '255=a', '--classes', 'a'], '--classes lacks sky;'),
    ],
)
def test_masks(pixels, mapping, problem, tmp_path):
    tiff = 'a.tif' if pixels.dtype == np.float32 else 'a.png'
    write_mask(tmp_path / 'in', pixels, tiff)
    argv = ['--map', *mapping] if mapping else []
    fails(problem, tmp_path / 'in', 'png', *argv)


@pytest.mark.parametrize(
    'name, content, problem',
    [
        ('m.json', '{"cat": 1.5}', 'malformed'),
        ('m.json', '{"cat": true}', 'malformed'),
        ('m.json', '["cat"]', 'malformed'),
        ('m.json', '{', 'malformed'),
        ('m.txt', 'cat\n', 'malformed'),
        ('m.txt', 'cat:1,2::\n', 'no value of a pixel'),
    ],
)
def test_map_files(name, content, problem, tmp_path):
    write_mask(tmp_path / 'in', GRAY)
    (tmp_path / name).write_text(content)
    fails(problem, tmp_path / 'in', 'png', '--map', tmp_path / name)


def test_broken_images(tmp_path):
    save_image(tmp_path / 'in' / 'a.jpg', SIZE)
    content = labelme(labelme_shape('a', SQUARE))
    (tmp_path / 'in' / 'a.json').write_text(json.dumps(content))
    (tmp_path / 'in' / 'a.jpg').write_bytes(b'no image')
    assert 'a.json' in fails('cannot identify', tmp_path / 'in')


def test_images_of_a_size_that_would_fill_the_memory(tmp_path, monkeypatch):
    save_image(tmp_path / 'in' / 'a.jpg', SIZE)
    content = labelme(labelme_shape('a', SQUARE))
    (tmp_path / 'in' / 'a.json').write_text(json.dumps(content))
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10)
    fails('exceeds limit', tmp_path / 'in')
