"""A malformed source gives one sentence that names the file."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from mmdavpt.errors import UsageError
from tools.dataset_converters.masks import parse_args
from tools.dataset_converters.masks_conversion.conversion import convert

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


def check_labelme(content, problem, folder):
    save_image(folder / 'in' / 'a.jpg', SIZE)
    (folder / 'in' / 'a.json').write_bytes(content)
    assert 'a.json' in fails(problem, folder / 'in')


def test_labelme_files(tmp_path):
    for number, (content, problem) in enumerate(
        [
            (b'{"shapes": [', 'malformed'),
            (b'[1, 2]', 'malformed'),
            (b'\xff\xfe\x00', 'malformed'),
            (b'[' * 100_000, 'malformed'),
            (b'{}', "lacks 'shapes'"),
            (b'{"shapes": null}', 'malformed'),
            (b'{"shapes": {"a": 3}}', 'malformed'),
            (b'{"shapes": [{"points": []}]}', "shape 0 of .* lacks 'label'"),
        ]
    ):
        folder = tmp_path / str(number)
        check_labelme(content, problem, folder)


def test_labelme_shapes(tmp_path):
    for number, (content, problem) in enumerate(
        [
            (labelme_shape('', SQUARE), 'a label should be a line'),
            (labelme_shape(None, SQUARE), 'a label should be a line'),
            (labelme_shape('a\nb', SQUARE), 'a label should be a line'),
            (labelme_shape('\ud800', SQUARE), 'surrogates not allowed'),
            (labelme_shape('a', [[1, 2], [3]]), 'malformed'),
            (labelme_shape('a', [[1, 2, 3]]), 'no pairs'),
            (labelme_shape('a', [[NAN, 1]]), 'shape 0 of .* not a number'),
            (labelme_shape('a', [[1e300, 1], *SQUARE]), 'too large'),
            (labelme_shape('a', SQUARE, 'cuboid'), "'cuboid' is unknown"),
            (labelme_shape('a', SQUARE, 'circle'), 'malformed'),
            (labelme_shape('a', SQUARE, 'mask'), "lacks 'mask'"),
            (labelme_shape('a', SQUARE, 'mask', mask='bm8='), 'identify'),
            (labelme_shape('a', SQUARE, 'mask', mask=7), 'malformed'),
            (labelme_shape('a', [], 'mask', mask=''), 'malformed'),
        ]
    ):
        content = json.dumps(labelme(content)).encode()
        check_labelme(content, problem, tmp_path / str(number))


def test_labelme_images(tmp_path):
    for number, (changes, problem) in enumerate(
        [
            (dict(imageWidth=60), '60 x 5 pixels, but its image is loaded'),
            (dict(imageWidth='wide'), 'wide x 5 pixels'),
            (dict(imagePath='b.jpg'), 'no image for .*; see --images'),
            (dict(imagePath=None), 'no image for'),
            (dict(imagePath=5), 'malformed'),
        ]
    ):
        folder = tmp_path / str(number)
        content = json.dumps(labelme(**changes)).encode()
        check_labelme(content, problem, folder)


def coco(segmentation, label='cat', **others):
    return coco_file([('a.jpg', SIZE)], [(0, label, segmentation, others)])


def test_coco(tmp_path):
    for number, (content, problem) in enumerate(
        [
            ({}, "lacks 'categories'"),
            ({'categories': {}, 'images': []}, "lacks 'annotations'"),
            (coco([FLAT[:-1]]), 'annotation 0 of .* 7 coordinates'),
            (coco([FLAT[:-1] + ['x']]), 'malformed'),
            (coco(FLAT), 'malformed'),
            (coco('abc'), 'malformed'),
            (coco([FLAT], image_id=3), 'image 3 or category 7 is unknown'),
            (coco([FLAT], image_id=[3]), 'malformed'),
            (coco([FLAT], category_id=1), 'category 1 is unknown'),
            (coco([FLAT], iscrowd=1), 'give --crowd ignore or class'),
            (coco(dict(size=[5, 6])), "lacks 'counts'"),
            (coco(dict(size=[6, 5], counts=[30])), r'are for \(6, 5\)'),
            (coco(dict(size=[5, 6], counts=[29])), '29 pixels'),
            (coco(dict(size=[5, 6], counts='zz')), 'run'),
            (coco(dict(size=5, counts=[30])), 'malformed'),
            (coco([FLAT]) | {'images': [{'id': 1}]}, "lacks 'file_name'"),
            (coco([FLAT]) | {'annotations': 3}, 'malformed'),
            (coco_file([(5, SIZE)], []), 'malformed'),
            (coco_file([('a.jpg', SIZE)] * 2, []), 'has 2 annotations'),
            (coco_file([('b.jpg', SIZE)], []), 'no image for b.jpg'),
            (coco_file([('a.jpg', (5, 6))], []), 'rotate the file'),
        ]
    ):
        photos = tmp_path / str(number) / 'photos'
        save_image(photos / 'a.jpg', SIZE)
        path = photos.parent / 'instances.json'
        path.write_text(json.dumps(content))
        problem = fails(problem, path, 'coco', '--images', photos)
        assert 'instances.json' in problem or 'has 2' in problem


ENTITIES = ''.join(
    f'<!ENTITY {chr(n + 1)} "{f"&{chr(n)};" * 10}">'
    for n in range(ord('a'), ord('j'))
)
#: Expands to 10 GB.
BOMB = (
    f'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">{ENTITIES}]>'
    '<annotations>&j;</annotations>'
)
OUTSIDE = (
    '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    '<annotations>&x;</annotations>'
)


def test_cvat(tmp_path):
    for number, (content, problem) in enumerate(
        [
            ('', 'no element found'),
            ('<annotations><image>', 'malformed'),
            ('<annotations></annotations>', 'no export as'),
            ('<annotations><track/></annotations>', 'no export as'),
            (BOMB, 'amplification'),
            (OUTSIDE, 'undefined entity'),
            ('<annotations><image/></annotations>', "lacks 'width'"),
            ('<polygon points="1,1;4,1;4,4"/>', 'a label should be a line'),
            ('<polygon label="a"/>', "lacks 'points'"),
            ('<polygon label="a" points=""/>', 'malformed'),
            ('<polygon label="a" points="1,1;4"/>', 'malformed'),
            ('<polygon label="a" points="1,nan;4,4;4,1"/>', 'not a number'),
            ('<blob label="a" points="1,1"/>', '<blob> is unknown'),
            ('<box label="a" xtl="1"/>', "lacks 'ytl'"),
            ('<mask label="a" rle="4" left="0"/>', "lacks 'top'"),
            ('<box label="a" z_order="x" xtl="1"/>', 'malformed'),
            (
                '<mask label="a" rle="3, 3" left="0" top="0" width="2" '
                'height="2"/>',
                r'6 pixels in runs of a mask \(2, 2\)',
            ),
            (
                '<mask label="a" rle="0, 4" left="5" top="0" width="2" '
                'height="2"/>',
                'out of the image',
            ),
        ]
    ):
        folder = tmp_path / str(number) / 'in'
        save_image(folder / 'a.jpg', SIZE)
        if content and not content.startswith(('<annotations', '<!')):
            content = cvat_file([('a.jpg', SIZE, [content])])
        (folder / 'annotations.xml').write_text(content)
        assert 'annotations.xml' in fails(problem, folder, 'cvat')


def write_mask(folder, pixels, name='a.png'):
    save_image(folder / 'images' / 'a.jpg', SIZE)
    (folder / 'masks').mkdir()
    Image.fromarray(pixels).save(folder / 'masks' / name)


GRAY = np.zeros(SIZE[::-1], np.uint8)
GRAY[0] = 255
COLOR = np.zeros((*GRAY.shape, 3), np.uint8)
COLOR[0] = 9, 8, 7


def test_masks(tmp_path):
    for number, (pixels, mapping, problem) in enumerate(
        [
            (GRAY, (), '--map VALUE=NAME should name the values 0, 255$'),
            (GRAY, ['0=sky'], 'has 255, which value_map lacks'),
            (COLOR, (), r'\(0, 0, 0\), \(9, 8, 7\)$'),
            (COLOR, ['0,0,0=sky'], r'\(9, 8, 7\)'),
            (COLOR, ['0=sky', '1=cat'], 'has colors'),
            (GRAY.T.copy(), ['0=sky', '255=cat'], '5×6 pixels, but its image'),
            (GRAY.astype(np.float32) / 9, ['0=sky'], 'fractions'),
            (GRAY, ['0=sky', '1,2,3=cat'], 'should map'),
            (GRAY, ['0=sky', '0=cat'], "0 is 'sky' and 'cat'"),
            (GRAY, ['0,0,256=sky'], 'color_map should map colors'),
            (GRAY, ['x=sky'], 'malformed'),
            (GRAY, ['0=__ignore__', '255=__ignore__'], '1 to 255 classes'),
            (
                GRAY,
                ['0=sky', '255=a', '--classes', 'a'],
                '--classes lacks sky;',
            ),
        ]
    ):
        folder = tmp_path / str(number)
        tiff = 'a.tif' if pixels.dtype == np.float32 else 'a.png'
        write_mask(folder / 'in', pixels, tiff)
        argv = ['--images', folder / 'in' / 'images']
        argv += ['--map', *mapping] if mapping else []
        fails(problem, folder / 'in' / 'masks', 'png', *argv)


def test_malformed_labelmap(tmp_path):
    write_mask(tmp_path / 'in', GRAY)
    (tmp_path / 'in' / 'masks').rename(tmp_path / 'in' / 'SegmentationClass')
    (tmp_path / 'in' / 'images').rename(tmp_path / 'in' / 'JPEGImages')
    for content in 'cat\n', 'cat:1,x::\n':
        (tmp_path / 'in' / 'labelmap.txt').write_text(content)
        fails('map of values is malformed', tmp_path / 'in', 'png')


def test_broken_images(tmp_path):
    save_image(tmp_path / 'in' / 'a.jpg', SIZE)
    content = labelme(labelme_shape('a', SQUARE))
    (tmp_path / 'in' / 'a.json').write_text(json.dumps(content))
    (tmp_path / 'in' / 'a.jpg').write_bytes(b'no image')
    assert 'a.json' in fails('OpenCV cannot decode', tmp_path / 'in')
