"""Classes, overlaps, missing images, and what is left out."""

import json

import numpy as np
import pytest
from PIL import Image

from mmdavpt.errors import UsageError
from tools.dataset_converters.masks import parse_args
from tools.dataset_converters.masks_conversion.conversion import convert
from tools.dataset_converters.masks_conversion.image_index import ImageIndex

from .writers import (
    coco_file,
    cvat_file,
    labelme_file,
    labelme_shape,
    png_base64,
    save_image,
)

SIZE = 6, 4
ALL = [[0, 0], [6, 0], [6, 4], [0, 4]]
LEFT = [[0, 0], [3, 0], [3, 4], [0, 4]]
DOT = [[1, 1], [2, 1], [2, 2], [1, 2]]


def write_labelme(folder, *shapes, name='a', **others):
    save_image(folder / f'{name}.jpg', SIZE)
    shapes = [labelme_shape(*s) if isinstance(s, tuple) else s for s in shapes]
    content = labelme_file(f'{name.split("/")[-1]}.jpg', SIZE, shapes)
    path = folder / f'{name}.json'
    path.write_text(json.dumps(content | others))


def run(folder, *argv, kind='labelme'):
    out = folder.parent / 'out'
    argv = [kind, folder, out, *argv]
    return out, convert(parse_args([str(a) for a in argv]))


def labels(out, name='a'):
    return np.asarray(Image.open(out / 'labels' / f'{name}.png'))


def classes(out):
    return (out / 'classes.txt').read_text().split('\n')[:-1]


def test_unlabelled_pixels_are_the_first_class(tmp_path):
    write_labelme(tmp_path / 'in', ('dog', LEFT), ('cat', DOT))
    out, summary = run(tmp_path / 'in')
    assert classes(out) == ['background', 'cat', 'dog']
    assert np.array_equal(labels(out)[1], [2, 1, 2, 0, 0, 0])
    assert 'pixels in shapes of several classes: 1' in summary
    assert ' 4.167% of the pixels, in 1 images' in summary


def test_names_of_labelme_for_background_and_ignored(tmp_path):
    shapes = ('Dog', ALL), ('_background_', DOT), ('__ignore__', [*LEFT[:3]])
    write_labelme(tmp_path / 'in', *shapes[:2])
    write_labelme(tmp_path / 'in', *shapes, name='b')
    out, _ = run(tmp_path / 'in', '--background', 'street')
    assert classes(out) == ['street', 'Dog']
    assert np.array_equal(labels(out)[1], [1, 0, 1, 1, 1, 1])
    assert labels(out, 'b')[0, 2] == 255


def test_classes_in_an_order(tmp_path):
    write_labelme(tmp_path / 'in', ('dog', LEFT), ('cat', DOT))
    argv = ['--classes', 'tree', 'dog', 'background', 'cat']
    out, _ = run(tmp_path / 'in', *argv)
    assert classes(out) == argv[1:]
    assert np.array_equal(labels(out)[1], [1, 3, 1, 2, 2, 2])


def test_shapes_that_cover_nothing_are_counted(tmp_path):
    shapes = [
        ('cat', LEFT),
        ('cat', [[7, 7], [9, 7], [9, 9]]),
        ('cat', [[1, 1], [2, 2]]),
        ('cat', []),
        ('cat', [[1, 1]], 'point'),
        ('cat', [[1.5, 1.5], [1.5, 1.5]], 'circle'),
    ]
    write_labelme(tmp_path / 'in', *shapes)
    save_image(tmp_path / 'in' / 'b.jpg', SIZE)
    _, summary = run(tmp_path / 'in')
    for line in (
        'shapes that contain no pixel: 2',
        'left out: polygon shapes without an area: 2',
        'left out: point shapes without an area: 1',
        'left out: images without an annotation: 1',
    ):
        assert line in summary


def test_existing_output_is_kept(tmp_path):
    write_labelme(tmp_path / 'in', ('cat', LEFT))
    (tmp_path / 'out').mkdir()
    out, _ = run(tmp_path / 'in')
    with pytest.raises(UsageError, match='out exists already'):
        run(tmp_path / 'in')


def test_images_named_on_another_machine(tmp_path):
    for number, named in enumerate(
        [
            '..\\photos\\a.jpg',
            'C:\\data\\in\\A.JPG',
            '/home/me/in/a.jpg',
            'a.jpg',
        ]
    ):
        folder = tmp_path / str(number)
        write_labelme(folder / 'in', ('cat', LEFT), imagePath=named)
        out, _ = run(folder / 'in')
        assert (out / 'images' / 'a.jpg').exists()


def test_the_same_name_in_two_folders(tmp_path):
    write_labelme(tmp_path / 'in', ('cat', LEFT), name='x/a')
    write_labelme(tmp_path / 'in', ('cat', DOT), name='y/a')
    out, _ = run(tmp_path / 'in')
    assert labels(out, 'x/a').sum() == 12 and labels(out, 'y/a').sum() == 1


def test_two_files_of_one_image(tmp_path):
    """As after renaming a file whose imagePath stays the old one."""
    write_labelme(tmp_path / 'in', ('cat', LEFT))
    write_labelme(tmp_path / 'in', ('dog', DOT), name='b', imagePath='a.jpg')
    with pytest.raises(UsageError, match='a.jpg has 2 annotations'):
        run(tmp_path / 'in')


def test_one_name_of_two_images(tmp_path):
    """Their label maps would be the same file."""
    for name in 'a.jpg', 'a.png':
        save_image(tmp_path / 'in' / name, SIZE)
    content = coco_file([('a.jpg', SIZE), ('a.png', SIZE)], [])
    (tmp_path / 'in' / 'c.json').write_text(json.dumps(content))
    with pytest.raises(UsageError, match='a has 2 annotations'):
        run(tmp_path / 'in' / 'c.json', kind='coco')


def test_an_ambiguous_image(tmp_path):
    for folder in 'xy':
        save_image(tmp_path / 'photos' / folder / 'a.jpg', SIZE)
    write_labelme(tmp_path / 'in', ('cat', LEFT))
    (tmp_path / 'in' / 'a.jpg').unlink()
    with pytest.raises(UsageError, match='see --images'):
        run(tmp_path / 'in', '--images', tmp_path / 'photos')


@pytest.mark.parametrize('orientation', [3, 6])
def test_annotations_fit_the_rotated_image(orientation, tmp_path):
    """Tools draw on the image that EXIF rotates; so do loaders."""
    import mmcv

    write_labelme(tmp_path / 'in', ('cat', LEFT))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = SIZE if orientation == 3 else SIZE[::-1]
    save_image(tmp_path / 'in' / 'a.jpg', stored, exif=exif)
    out, summary = run(tmp_path / 'in')
    loaded = mmcv.imread(str(out / 'images' / 'a.jpg'))
    assert labels(out).shape == loaded.shape[:2]
    assert '1 images' in summary


def write_coco(path, annotations):
    save_image(path.parent / 'a.jpg', SIZE)
    path.write_text(json.dumps(coco_file([('a.jpg', SIZE)], annotations)))


def flat(points):
    return [float(value) for point in points for value in point]


@pytest.mark.parametrize(
    'crowd, expected',
    [('ignore', [1, 1, 1, 255]), ('class', [1, 1, 1, 2])],
)
def test_crowds_are_below_all_others(crowd, expected, tmp_path):
    """Also if they are smaller and later."""
    right = [[2, 0], [4, 0], [4, 4], [2, 4]]
    annotations = [
        (0, 'cat', [flat(LEFT)], {}),
        (0, 'dog', [flat(right)], dict(iscrowd=1)),
    ]
    write_coco(tmp_path / 'in' / 'c.json', annotations)
    argv = ['--crowd', crowd]
    out, _ = run(tmp_path / 'in' / 'c.json', *argv, kind='coco')
    assert labels(out)[1, :4].tolist() == expected
    assert classes(out) == ['background', 'cat', 'dog', 'tree']


def test_cvat_shapes_and_layers(tmp_path):
    elements = [
        '<polygon label="cat" z_order="2" points="1,1;2,1;2,2;1,2"/>',
        '<box label="dog" z_order="-1" xtl="0" ytl="0" xbr="6" ybr="4"/>',
        '<box label="tree" xtl="3" ytl="1" xbr="5" ybr="3" rotation="90"/>',
        '<ellipse label="cat" cx="0.5" cy="3.5" rx="0.5" ry="0.5"/>',
        '<points label="cat" points="1,1"/><tag label="cat"/>',
    ]
    save_image(tmp_path / 'in' / 'images' / 'a.jpg', SIZE)
    path = tmp_path / 'in' / 'annotations.xml'
    path.write_text(cvat_file([('a.jpg', SIZE, elements)]))
    out, summary = run(tmp_path / 'in', kind='cvat')
    assert classes(out) == ['background', 'cat', 'dog', 'tree']
    assert labels(out).tolist() == [
        [2, 2, 2, 2, 2, 2],
        [2, 1, 2, 3, 3, 2],
        [2, 2, 2, 3, 3, 2],
        [1, 2, 2, 2, 2, 2],
    ]
    assert 'left out: points shapes without an area: 1' in summary
    assert 'left out: tag shapes without an area: 1' in summary


def test_a_box_of_cvat_turns_clockwise(tmp_path):
    """Its right end goes down."""
    box = (
        '<box label="cat" xtl="0" ytl="3.5" xbr="8" ybr="4.5" rotation="{}"/>'
    )
    for name, turn in (('a', 30), ('b', 330)):
        element = box.format(turn)
        save_image(tmp_path / name / 'a.jpg', (8, 8))
        path = tmp_path / name / 'annotations.xml'
        path.write_text(cvat_file([('a.jpg', (8, 8), [element])]))
        argv = ['cvat', str(path), str(tmp_path / f'out_{name}')]
        convert(parse_args(argv))
    found = labels(tmp_path / 'out_a').astype(bool)
    assert found[5, 6] and found[2, 1] and not found[2, 6]
    assert np.array_equal(labels(tmp_path / 'out_b'), found[::-1])


def test_shapes_of_one_class_do_not_count_as_overlapping(tmp_path):
    write_labelme(tmp_path / 'in', ('cat', LEFT), ('cat', DOT))
    _, summary = run(tmp_path / 'in')
    assert 'several classes' not in summary


def test_images_with_accents_and_in_linked_folders(tmp_path):
    """macOS decomposes the accents of file names."""
    save_image(tmp_path / 'disk' / 'cafe\u0301.jpg', SIZE)
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'photos' / 'linked').symlink_to(tmp_path / 'disk')
    index = ImageIndex(str(tmp_path / 'photos'))
    assert index.find('caf\u00e9.jpg')
    assert ImageIndex(str(tmp_path / 'photos'), by_stem=True).find('café.png')


def test_unlabelled_pixels_can_be_ignored(tmp_path):
    write_labelme(tmp_path / 'in', ('dog', LEFT), ('_background_', DOT))
    write_labelme(tmp_path / 'in', ('cat', DOT), name='b')
    out, _ = run(tmp_path / 'in', '--background', '__ignore__')
    assert classes(out) == ['cat', 'dog']
    assert np.array_equal(labels(out)[1], [1, 255, 1, 255, 255, 255])


def test_labels_are_renamed_and_ignored(tmp_path):
    shapes = ('car-1', LEFT), ('car-2', DOT), ('fog', DOT)
    write_labelme(tmp_path / 'in', *shapes)
    argv = ['--rename', 'car-1=car', 'car-*=bus', 'fog=__ignore__']
    out, _ = run(tmp_path / 'in', *argv)
    assert classes(out) == ['background', 'car', 'bus']
    assert np.array_equal(labels(out)[1], [1, 255, 1, 0, 0, 0])


def test_labels_may_change_places(tmp_path):
    """Also with the background, whose new class differs from its label's."""
    shapes = ('dog', LEFT), ('background', DOT)
    write_labelme(tmp_path / 'in', *shapes)
    argv = ['--rename', 'dog=cat', 'background=dog']
    out, _ = run(tmp_path / 'in', *argv)
    assert classes(out) == ['background', 'dog', 'cat']
    assert np.array_equal(labels(out)[1], [2, 1, 2, 0, 0, 0])


def test_options_that_do_not_fit(tmp_path):
    shapes = ('dog', LEFT), ('cat', DOT), ('dog', DOT)
    write_labelme(tmp_path / 'in', *shapes)
    for argv, problem in (
        (['--classes', 'cat'], '--classes lacks dog;'),
        (['--rename', 'dgo=x'], "--rename dgo; did you mean 'dog'"),
        (['--rename', 'cat=Dog'], 'differ in more than case'),
        (['--classes', 'cat', 'dog', 'cat'], 'differ in more than case'),
        (['--rename', '*=background'], 'would have one class'),
        (
            ['--rename', '*=__ignore__', '--background', '__ignore__'],
            '1 to 255 classes',
        ),
    ):
        with pytest.raises(UsageError, match=problem):
            run(tmp_path / 'in', *argv)
    with pytest.raises(SystemExit):
        run(tmp_path / 'in', '--rename', 'x')
    assert [p.name for p in tmp_path.iterdir()] == ['in']


def test_more_classes_than_8_bits_hold(tmp_path):
    shapes = [(f'c{i:03d}', DOT) for i in range(255)]
    write_labelme(tmp_path / 'in', *shapes)
    with pytest.raises(UsageError, match='1 to 255 classes'):
        run(tmp_path / 'in')
    out, _ = run(tmp_path / 'in', '--background', '__ignore__')
    assert labels(out)[1, 1] == 254 and labels(out)[0, 0] == 255


def test_masks_of_labelme_at_a_corner(tmp_path):
    """The first point is the left top pixel, x first."""
    mask = png_base64(np.array([[1, 1, 0], [0, 1, 1]]))
    shape = labelme_shape('cat', [[3, 1], [5, 2]], 'mask', mask=mask)
    write_labelme(tmp_path / 'in', shape)
    out, _ = run(tmp_path / 'in')
    assert labels(out)[1:3].tolist() == [[0, 0, 0, 1, 1, 0], [0] * 4 + [1, 1]]
    assert labels(out).sum() == 4


def test_corners_of_boxes_are_exact(tmp_path):
    """The center of the first pixel is on the left edge, hence inside."""
    box = '<box label="cat" xtl="0.5" ytl="0" xbr="1.63" ybr="4"/>'
    save_image(tmp_path / 'in' / 'a.jpg', SIZE)
    path = tmp_path / 'in' / 'annotations.xml'
    path.write_text(cvat_file([('a.jpg', SIZE, [box])]))
    out, _ = run(tmp_path / 'in', kind='cvat')
    assert labels(out)[0].tolist() == [1, 1, 0, 0, 0, 0]


def test_groups_and_holes_of_labelme(tmp_path):
    """Shapes of a group are joined; ``_background_`` cuts a hole."""
    right = [[5, 0], [6, 0], [6, 4], [5, 4]]
    shapes = [labelme_shape('cat', points) for points in (LEFT, right)]
    for shape in shapes:
        shape['group_id'] = 1
    write_labelme(tmp_path / 'in', *shapes, ('_background_', DOT))
    out, _ = run(tmp_path / 'in')
    assert np.array_equal(labels(out)[0], [1, 1, 1, 0, 0, 1])
    assert np.array_equal(labels(out)[1], [1, 0, 1, 0, 0, 1])


def test_boxes_and_circles_of_labelme(tmp_path):
    """A box from any corner; a circle from its center to its edge."""
    box = ('cat', [[3, 4], [1, 1]], 'rectangle')
    write_labelme(tmp_path / 'in', box)
    circle = ('cat', [[2, 2], [2, 3]], 'circle')
    write_labelme(tmp_path / 'in', circle, name='b')
    out, _ = run(tmp_path / 'in')
    expected = np.zeros((4, 6))
    expected[1:4, 1:3] = 1
    assert np.array_equal(labels(out), expected)
    expected[3] = 0
    assert np.array_equal(labels(out, 'b'), expected)


def test_images_without_a_shape_are_background(tmp_path):
    write_labelme(tmp_path / 'in', ('cat', LEFT))
    write_labelme(tmp_path / 'in', name='b')
    out, summary = run(tmp_path / 'in')
    assert not labels(out, 'b').any()
    assert 'images without a shape: 1' in summary


def test_an_error_leaves_no_output(tmp_path):
    write_labelme(tmp_path / 'in', ('cat', LEFT))
    write_labelme(tmp_path / 'in', ('cat', LEFT), name='b', imageWidth=7)
    with pytest.raises(UsageError, match='b.json is for 7 x 4 pixels'):
        run(tmp_path / 'in')
    assert [p.name for p in tmp_path.iterdir()] == ['in']


def test_annotations_of_the_stored_image_are_refused(tmp_path):
    write_labelme(tmp_path / 'in', ('cat', LEFT))
    exif = Image.Exif()
    exif[0x0112] = 6
    save_image(tmp_path / 'in' / 'a.jpg', SIZE, exif=exif)
    with pytest.raises(UsageError, match='rotate the file itself'):
        run(tmp_path / 'in')


def test_small_objects_of_coco_are_on_top(tmp_path):
    annotations = [
        (0, 'cat', [flat(DOT), flat(DOT)], {}),
        (0, 'dog', [flat(LEFT)], {}),
        (0, 'tree', [], {}),
    ]
    write_coco(tmp_path / 'in' / 'c.json', annotations)
    out, summary = run(tmp_path / 'in' / 'c.json', kind='coco')
    assert labels(out)[1].tolist() == [2, 1, 2, 0, 0, 0]
    assert 'left out: annotations without a segmentation: 1' in summary


def test_names_of_images(tmp_path):
    """One path must be the end of the other; the same path comes first."""
    for name in (
        'a.jpg',
        'x/a.jpg',
        'x/y/a.jpg',
        'val/b.jpg',
        'cafe\u0301.jpg',
    ):
        save_image(tmp_path / name, SIZE)
    index = ImageIndex(str(tmp_path))
    for name, expected in {
        'a.jpg': 'a.jpg',
        'x/a.jpg': 'x/a.jpg',
        'C:\\x\\y\\A.JPG': 'x/y/a.jpg',
        'x\\y\\A.JPG': 'x/y/a.jpg',
        'b.jpg': 'val/b.jpg',
        '../data/val/b.jpg': 'val/b.jpg',
        'train/b.jpg': None,
        'caf\u00e9.jpg': 'cafe\u0301.jpg',
        '': None,
    }.items():
        found = index.find(name)
        assert found == (expected and str(tmp_path / expected)), name
    by_stem = ImageIndex(str(tmp_path), by_stem=True)
    assert by_stem.find('caf\u00e9.png')
