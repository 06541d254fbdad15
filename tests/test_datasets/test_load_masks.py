"""Masks as people have them: every kind of pixel, mapped to classes."""

import struct
import warnings
import zlib

import cv2
import mmcv
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from mmdavpt.datasets import LoadMasks
from mmdavpt.errors import UsageError

VALUES = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
COLORS = [(0, 0, 0), (128, 0, 0), (0, 128, 255)]


def load(path, reduce_zero_label=False, label_map=None, **kwargs):
    results = dict(
        seg_map_path=str(path),
        reduce_zero_label=reduce_zero_label,
        label_map=label_map,
        seg_fields=[],
    )
    mask = LoadMasks(**kwargs)(results)['gt_seg_map']
    assert mask.dtype == np.uint8 and mask.ndim == 2
    assert results['seg_fields'] == ['gt_seg_map']
    return mask


def indexed(values=VALUES):
    image = Image.fromarray(values).convert('P')
    image.putdata(values.ravel().tolist())
    image.putpalette([c for color in COLORS for c in color])
    return image


def colored(values=VALUES):
    return Image.fromarray(np.array(COLORS, np.uint8)[values])


def with_orientation(image, path):
    exif = Image.Exif()
    exif[0x112] = 6  # to be rotated by 90° clockwise
    image.save(path, exif=exif)


KINDS = {
    'gray': Image.fromarray(VALUES),
    'indexed': indexed(),
    '16 bits': Image.fromarray(VALUES.astype(np.uint16)),
    '32 bits': Image.fromarray(VALUES.astype(np.int32)),
    'float': Image.fromarray(VALUES.astype(np.float32)),
    'gray as RGB': Image.fromarray(VALUES).convert('RGB'),
    'gray as RGBA': Image.fromarray(VALUES).convert('RGBA'),
    'gray with alpha': Image.fromarray(VALUES).convert('LA'),
}


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('suffix', ['png', 'tif'])
def test_values_of_every_kind(tmp_path, kind, suffix):
    if suffix == 'png' and kind in ('float', '32 bits'):
        pytest.skip('PNG has no such pixels')
    path = tmp_path / f'mask.{suffix}'
    KINDS[kind].save(path)
    assert (load(path) == VALUES).all()
    expected = np.array([4, 0, 255])[VALUES]
    assert (load(path, value_map={0: 4, 1: 0, 2: 255}) == expected).all()


@pytest.mark.parametrize('suffix', ['png', 'tif', 'bmp'])
def test_one_bit(tmp_path, suffix):
    path = tmp_path / f'mask.{suffix}'
    Image.fromarray(VALUES > 0).save(path)
    assert (load(path) == (VALUES > 0)).all()


@pytest.mark.parametrize(
    'color_map', [COLORS, {c: k for k, c in enumerate(COLORS)}]
)
@pytest.mark.parametrize('kind', ['RGB', 'RGBA', 'indexed', 'reordered'])
def test_colors(tmp_path, color_map, kind):
    image = colored().convert('RGBA' if kind == 'RGBA' else 'RGB')
    if kind == 'indexed':
        image = indexed()
    if kind == 'reordered':  # as image editors do
        image = image.quantize(8).remap_palette([2, 0, 1])
        assert (np.asarray(image) != VALUES).any()
    image.save(tmp_path / 'mask.png')
    assert (load(tmp_path / 'mask.png', color_map=color_map) == VALUES).all()


def gray_png(values, bits):
    """Return the content of a gray PNG with few bits per pixel."""
    rows = b''
    for row in values:
        text = ''.join(format(value, f'0{bits}b') for value in row)
        text += '0' * (-len(text) % 8)
        packed = [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]
        rows += b'\0' + bytes(packed)
    size = struct.pack('>IIBBBBB', len(values[0]), len(values), bits, *[0] * 4)
    chunks = (b'IHDR', size), (b'IDAT', zlib.compress(rows)), (b'IEND', b'')
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data))
        + kind
        + data
        + struct.pack('>I', zlib.crc32(kind + data))
        for kind, data in chunks
    )


@pytest.mark.parametrize('bits', [2, 4])
def test_gray_values_of_few_bits_are_not_spread(tmp_path, bits):
    """Programs that shrink PNGs write them; Pillow reads 3 as 255."""
    values = [[0, 1, 2], [3, 2, 1]]
    path = tmp_path / 'mask.png'
    path.write_bytes(gray_png(values, bits))
    assert load(path).tolist() == values
    mapped = load(path, value_map={0: 0, 1: 1, 2: 1, 3: 255})
    assert mapped.tolist() == [[0, 1, 1], [255, 1, 1]]


def test_gray_masks_have_colors(tmp_path):
    Image.fromarray(VALUES * 100).save(tmp_path / 'mask.png')
    color_map = [(k * 100,) * 3 for k in range(3)]
    assert (load(tmp_path / 'mask.png', color_map=color_map) == VALUES).all()


@pytest.mark.parametrize(
    'image, kwargs, message',
    [
        (colored(), {}, r'has colors \(RGB\).*color_map'),
        (colored(), dict(value_map={0: 0}), r'has colors \(RGB\).*color_map'),
        (colored().convert('CMYK'), {}, r'has colors \(CMYK\)'),
        (
            Image.fromarray(VALUES),
            dict(value_map={0: 0, 255: 1}),
            r'has 1, 2, which value_map lacks; add 1: CLASS, or 1: 255',
        ),
        (
            Image.fromarray(np.uint8([[0, 1, 255]])),
            dict(value_map={0: 0, 1: 1}),
            'has 255, which value_map lacks',
        ),
        (
            colored(),
            dict(color_map=COLORS[:2]),
            r'has \(0, 128, 255\), which color_map lacks; '
            r'add \(0, 128, 255\): CLASS',
        ),
        (Image.fromarray(np.uint16([[0, 300]])), {}, 'has the value 300'),
        (Image.fromarray(np.uint16([[0, 256]])), {}, 'has the value 256'),
        (Image.fromarray(np.int32([[0, -1]])), {}, 'has the value -1'),
        (Image.fromarray(np.float32([[0.5]])), {}, 'has fractions'),
        (
            Image.fromarray(np.uint16([[0, 300]])),
            dict(color_map=COLORS),
            'more than 8 bits',
        ),
        (
            Image.fromarray(np.uint8([[[0, 0, 0, 0]]])),
            {},
            'has transparent pixels',
        ),
        (
            Image.fromarray(np.uint8([[[0, 0, 0, 254]]])),
            dict(color_map=COLORS),
            'has transparent pixels',
        ),
    ],
)
def test_what_has_no_class_is_refused(tmp_path, image, kwargs, message):
    path = tmp_path / 'mask.tif'
    image.save(path)
    with pytest.raises(UsageError, match=f'mask.tif.*{message}'):
        load(path, **kwargs)


def test_jpeg_is_refused(tmp_path):
    """Its noise gives pixels the numbers of other classes."""
    Image.fromarray(VALUES).save(tmp_path / 'mask.png', format='JPEG')
    with pytest.raises(UsageError, match='mask.png is a JPEG'):
        load(tmp_path / 'mask.png')


def test_several_frames_are_refused(tmp_path):
    images = [Image.fromarray(VALUES), Image.fromarray(VALUES[::-1])]
    images[0].save(tmp_path / 'm.tif', save_all=True, append_images=images[1:])
    with pytest.raises(UsageError, match='m.tif.*several frames'):
        load(tmp_path / 'm.tif')


@pytest.mark.parametrize(
    'kwargs',
    [
        dict(value_map={0: 0}, color_map={(0, 0, 0): 0}),
        dict(value_map={}),
        dict(color_map={}),
        dict(value_map={'0': 0}),
        dict(value_map={0.5: 0}),
        dict(value_map={0: 256}),
        dict(value_map={0: -1}),
        dict(value_map={-1: 0}),
        dict(color_map={0: 0}),
        dict(color_map={(0, 0): 0}),
        dict(color_map={(0, 0, 256): 0}),
        dict(color_map={(0, 0, 0): None}),
        dict(color_map=[(0, 0, 0), (0, 0, 0)]),
    ],
)
def test_malformed_maps(kwargs):
    with pytest.raises(
        UsageError, match='_map should map|not both|color twice'
    ):
        LoadMasks(**kwargs)


def test_16_bits_are_kept_before_mapping(tmp_path):
    values = np.array([[7, 1007], [65535, 263]], np.uint16)
    Image.fromarray(values).save(tmp_path / 'mask.png')
    value_map = {7: 0, 1007: 1, 65535: 255, 263: 2}
    mask = load(tmp_path / 'mask.png', value_map=value_map)
    assert mask.tolist() == [[0, 1], [255, 2]]


def test_a_mask_turns_as_its_image_does(tmp_path):
    """Both carry the tag of a camera, as after cropping in an editor."""
    with_orientation(Image.fromarray(VALUES * 100), tmp_path / 'image.png')
    with_orientation(indexed(), tmp_path / 'mask.png')
    for backend in ('cv2', 'pillow'):
        image = mmcv.imread(str(tmp_path / 'image.png'), backend=backend)
        mask = load(tmp_path / 'mask.png')
        assert mask.shape == (3, 2)
        assert (mask * 100 == image[..., 0]).all()


def test_another_size_than_the_image(tmp_path):
    Image.fromarray(VALUES).save(tmp_path / 'mask.png')
    results = dict(
        img_path='image.jpg',
        ori_shape=(3, 2),
        seg_map_path=str(tmp_path / 'mask.png'),
        reduce_zero_label=False,
        seg_fields=[],
    )
    with pytest.raises(
        UsageError,
        match=r'mask.png has 3×2 pixels, but its image image.jpg has 2×3',
    ):
        LoadMasks()(results)


maps = st.dictionaries(
    st.integers(0, 65535) | st.integers(0, 9),
    st.integers(0, 255),
    min_size=1,
    max_size=9,
)


@settings(max_examples=60)
@given(
    value_map=maps,
    reduce_zero_label=st.booleans(),
    label_map=st.none()
    | st.dictionaries(st.integers(0, 20), st.integers(0, 20)),
    data=st.data(),
)
def test_maps_equal_a_loop_over_pixels(
    tmp_path_factory, value_map, reduce_zero_label, label_map, data
):
    values = data.draw(
        st.lists(
            st.sampled_from([*value_map, 3, 255]), min_size=1, max_size=12
        )
    )
    path = tmp_path_factory.mktemp('masks') / 'mask.png'
    Image.fromarray(np.array([values], np.uint16)).save(path)
    args = (path, reduce_zero_label, label_map)
    if not set(values) <= value_map.keys():
        with pytest.raises(UsageError, match='which value_map lacks'):
            load(*args, value_map=value_map)
        return
    expected = []
    for value in values:
        label = value_map[value]
        if reduce_zero_label:
            label = 255 if label in (0, 255) else label - 1
        expected.append((label_map or {}).get(label, label))
    assert load(*args, value_map=value_map).tolist() == [expected]


@settings(max_examples=30)
@given(
    colors=st.lists(
        st.tuples(*[st.integers(0, 255)] * 3), min_size=2, unique=True
    ),
    data=st.data(),
)
def test_colors_equal_a_loop_over_pixels(tmp_path_factory, colors, data):
    *known, last = colors
    pixels = data.draw(st.lists(st.sampled_from(colors), min_size=1))
    path = tmp_path_factory.mktemp('masks') / 'mask.png'
    Image.fromarray(np.array([pixels], np.uint8)).save(path)
    if last in pixels:
        with pytest.raises(UsageError, match='which color_map lacks'):
            load(path, color_map=known)
    else:
        expected = [known.index(pixel) for pixel in pixels]
        assert load(path, color_map=known).tolist() == [expected]


@pytest.mark.parametrize('reduce_zero_label', [False, True])
@pytest.mark.parametrize('label_map', [None, {0: 1, 1: 0, 2: 255, 254: 3}])
def test_without_a_map_equals_mmsegmentation(
    tmp_path, reduce_zero_label, label_map
):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / 'mask.png')
    results = dict(
        seg_map_path=str(tmp_path / 'mask.png'),
        reduce_zero_label=reduce_zero_label,
        label_map=label_map,
        seg_fields=[],
    )
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        expected = LoadAnnotations()(results)['gt_seg_map']
    found = load(tmp_path / 'mask.png', reduce_zero_label, label_map)
    assert (found == expected).all()


def test_maps_survive_a_written_config(tmp_path):
    """Keys are numbers and tuples, in files and in merged configs."""
    cfg = Config(
        dict(
            a=dict(type='LoadMasks', value_map={0: 0, 255: 1}),
            b=dict(type='LoadMasks', color_map={(0, 0, 0): 0, (1, 2, 3): 1}),
        )
    )
    cfg.dump(tmp_path / 'config.py')
    cfg = Config.fromfile(tmp_path / 'config.py')
    cv2.imwrite(str(tmp_path / 'a.png'), np.uint8([[0, 255]]))
    cv2.imwrite(str(tmp_path / 'b.png'), np.uint8([[[0, 0, 0], [3, 2, 1]]]))
    for name in 'ab':
        kwargs = {k: v for k, v in cfg[name].items() if k != 'type'}
        assert load(tmp_path / f'{name}.png', **kwargs).tolist() == [[0, 1]]
