"""Classes, overlaps, missing images, and what is left out."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from mmdavpt.errors import UsageError
from tools.dataset_converters.masks import convert, parse_args
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
    assert 'pixels in shapes of several classes: 1 (see' in summary
    assert ' 4.167% of the pixels, in 1 images' in summary


def test_unlabelled_pixels_can_be_ignored(tmp_path):
    write_labelme(tmp_path / 'in', ('dog', LEFT), ('cat', DOT))
    out, _ = run(tmp_path / 'in', '--no-background')
    assert classes(out) == ['cat', 'dog']
    assert np.array_equal(labels(out)[1], [1, 0, 1, 255, 255, 255])


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


@pytest.mark.parametrize(
    'argv, problem',
    [
        (['--classes', 'cat'], r'--classes lacks dog \(2 shapes\);'),
        (['--ignore', 'dgo'], "--ignore dgo; did you mean 'dog'"),
        (['--drop', 'x'], '--drop x'),
        (['--rename', 'x=y'], '--rename x'),
        (['--rename', 'x'], 'takes OLD=NEW'),
        (['--rename', 'cat=Dog'], "'Dog' and 'dog' differ at most in case"),
        (['--ignore', 'cat', '--background', 'cat'], '--no-background'),
        (['--classes', 'cat', 'dog', 'cat'], 'differ at most in case'),
        (['--drop', 'cat', 'dog'], 'no shape of any image covers a pixel'),
        (['--drop', 'cat', 'dog', '--no-background'], 'no label is left'),
        (['--ignore', 'cat', 'dog', '--no-background'], 'no label is left'),
    ],
)
def test_options_that_do_not_fit(argv, problem, tmp_path):
    shapes = ('dog', LEFT), ('cat', DOT), ('dog', DOT)
    write_labelme(tmp_path / 'in', *shapes)
    with pytest.raises(UsageError, match=problem):
        run(tmp_path / 'in', *argv)
    assert [p.name for p in tmp_path.iterdir()] == ['in']


def test_labels_are_renamed_dropped_and_ignored(tmp_path):
    shapes = ('car-1', LEFT), ('car-2', DOT), ('roi', ALL), ('fog', DOT)
    write_labelme(tmp_path / 'in', *shapes)
    argv = ['--rename', 'car-*=car', '--drop', 'roi', '--ignore', 'fog']
    out, summary = run(tmp_path / 'in', *argv)
    assert classes(out) == ['background', 'car']
    assert np.array_equal(labels(out)[1], [1, 255, 1, 0, 0, 0])
    assert 'dropped shapes of dropped labels: 1' in summary


def test_more_classes_than_8_bits_hold(tmp_path):
    shapes = [(f'c{i:03d}', DOT) for i in range(255)]
    write_labelme(tmp_path / 'in', *shapes)
    with pytest.raises(UsageError, match='256 classes are too many'):
        run(tmp_path / 'in')
    out, _ = run(tmp_path / 'in', '--no-background')
    assert labels(out)[1, 1] == 254


def test_the_smallest_shape_on_top(tmp_path):
    write_labelme(tmp_path / 'in', ('cat', DOT), ('dog', LEFT))
    out, _ = run(tmp_path / 'in', '--on-top', 'smallest')
    assert np.array_equal(labels(out)[1], [2, 1, 2, 0, 0, 0])


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
        'dropped shapes that contain no pixel of the image: 2',
        'dropped polygon shapes without an area: 2',
        'dropped point shapes without an area: 1',
        'dropped images without a JSON file: 1',
    ):
        assert line in summary


def test_lines_of_a_width(tmp_path):
    write_labelme(tmp_path / 'in', ('cat', [[0, 2], [6, 2]], 'linestrip'))
    out, _ = run(tmp_path / 'in', '--line-width', '2')
    assert labels(out).tolist() == [[0] * 6, [1] * 6, [1] * 6, [0] * 6]


def test_images_without_a_shape(tmp_path):
    write_labelme(tmp_path / 'in', ('cat', LEFT))
    write_labelme(tmp_path / 'in', name='b')
    out, summary = run(tmp_path / 'in')
    assert not labels(out, 'b').any()
    assert 'images without a shape: 1 (only' in summary
    (out / 'labels').parent.rename(tmp_path / 'first')
    out, summary = run(tmp_path / 'in', '--drop-empty')
    assert not (out / 'images' / 'b.jpg').exists()
    assert 'dropped images without a labelled pixel: 1' in summary


@pytest.mark.parametrize('workers', [0, 2])
def test_an_error_leaves_no_output(workers, tmp_path):
    write_labelme(tmp_path / 'in', ('cat', LEFT))
    write_labelme(tmp_path / 'in', ('cat', LEFT), name='b', imageWidth=7)
    with pytest.raises(UsageError, match='b.json is for 7 x 4 pixels'):
        run(tmp_path / 'in', '--workers', workers)
    assert [p.name for p in tmp_path.iterdir()] == ['in']


def test_existing_output_is_kept(tmp_path):
    write_labelme(tmp_path / 'in', ('cat', LEFT))
    (tmp_path / 'out').mkdir()
    out, _ = run(tmp_path / 'in')
    with pytest.raises(UsageError, match='out exists already'):
        run(tmp_path / 'in')


def test_images_outlive_the_source(tmp_path):
    write_labelme(tmp_path / 'real', ('cat', LEFT))
    content = (tmp_path / 'real' / 'a.jpg').read_bytes()
    (tmp_path / 'in').mkdir()
    for name in ('a.jpg', 'a.json'):
        (tmp_path / 'in' / name).symlink_to(tmp_path / 'real' / name)
    out, _ = run(tmp_path / 'in')
    for path in [*tmp_path.glob('in/*'), *tmp_path.glob('real/*')]:
        path.unlink()
    assert (out / 'images' / 'a.jpg').read_bytes() == content


def test_images_are_copied_where_links_are_impossible(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError('cross-device link')

    monkeypatch.setattr(os, 'link', fail)
    write_labelme(tmp_path / 'in', ('cat', LEFT))
    out, _ = run(tmp_path / 'in')
    found, source = out / 'images' / 'a.jpg', tmp_path / 'in' / 'a.jpg'
    assert found.read_bytes() == source.read_bytes()
    assert not found.samefile(source)


@pytest.mark.parametrize(
    'named',
    ['..\\photos\\a.jpg', 'C:\\data\\in\\A.JPG', '/home/me/in/a.jpg', 'a.jpg'],
)
def test_images_named_on_another_machine(named, tmp_path):
    write_labelme(tmp_path / 'in', ('cat', LEFT), imagePath=named)
    out, _ = run(tmp_path / 'in')
    assert (out / 'images' / 'a.jpg').exists()


def test_embedded_images(tmp_path):
    write_labelme(tmp_path / 'in', ('cat', LEFT))
    image = tmp_path / 'in' / 'a.jpg'
    data = png_base64(np.zeros((4, 6)))
    write_labelme(tmp_path / 'in', ('cat', LEFT), imageData=data)
    image.unlink()
    out, _ = run(tmp_path / 'in')
    assert Image.open(out / 'images' / 'a.png').size == SIZE


def test_the_same_name_in_two_folders(tmp_path):
    write_labelme(tmp_path / 'in', ('cat', LEFT), name='x/a')
    write_labelme(tmp_path / 'in', ('cat', DOT), name='y/a')
    out, _ = run(tmp_path / 'in')
    assert labels(out, 'x/a').sum() == 12 and labels(out, 'y/a').sum() == 1


def test_two_files_of_one_image(tmp_path):
    """As after renaming a file whose imagePath stays the old one."""
    write_labelme(tmp_path / 'in', ('cat', LEFT))
    write_labelme(tmp_path / 'in', ('dog', DOT), name='b', imagePath='a.jpg')
    with pytest.raises(UsageError, match='a.json and .*b.json have the same'):
        run(tmp_path / 'in')


def test_an_ambiguous_image(tmp_path):
    for folder in 'xy':
        save_image(tmp_path / 'photos' / folder / 'a.jpg', SIZE)
    write_labelme(tmp_path / 'in', ('cat', LEFT))
    (tmp_path / 'in' / 'a.jpg').unlink()
    with pytest.raises(UsageError, match='matches 2 images'):
        run(tmp_path / 'in', '--images', tmp_path / 'photos')


def test_missing_images_are_skipped_on_demand(tmp_path):
    write_labelme(tmp_path / 'in', ('cat', LEFT))
    write_labelme(tmp_path / 'in', ('cat', LEFT), name='b')
    (tmp_path / 'in' / 'b.jpg').unlink()
    with pytest.raises(UsageError, match='1 of 2 images were not found'):
        run(tmp_path / 'in')
    _, summary = run(tmp_path / 'in', '--skip-missing')
    assert 'dropped annotations without an image: 1' in summary


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
    assert 'images with an EXIF orientation: 1' in summary


def test_annotations_of_the_stored_image_are_refused(tmp_path):
    write_labelme(tmp_path / 'in', ('cat', LEFT))
    exif = Image.Exif()
    exif[0x0112] = 6
    save_image(tmp_path / 'in' / 'a.jpg', SIZE, exif=exif)
    with pytest.raises(UsageError, match='rotate the file itself'):
        run(tmp_path / 'in')


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


def test_small_objects_of_coco_are_on_top(tmp_path):
    annotations = [
        (0, 'cat', [flat(DOT), flat(DOT)], {}),
        (0, 'dog', [flat(LEFT)], {}),
        (0, 'tree', [], {}),
    ]
    write_coco(tmp_path / 'in' / 'c.json', annotations)
    out, summary = run(tmp_path / 'in' / 'c.json', kind='coco')
    assert labels(out)[1].tolist() == [2, 1, 2, 0, 0, 0]
    assert 'dropped annotations without a segmentation: 1' in summary


def test_boxes_without_segmentations_are_no_masks(tmp_path):
    write_coco(tmp_path / 'in' / 'c.json', [(0, 'cat', [], {})])
    with pytest.raises(UsageError, match='no shape of any image'):
        run(tmp_path / 'in' / 'c.json', kind='coco')


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
    assert 'dropped points shapes without an area: 1' in summary
    assert 'dropped tag shapes without an area: 1' in summary


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
        convert(parse_args(['cvat', str(path), str(tmp_path / f'out_{name}')]))
    found = labels(tmp_path / 'out_a').astype(bool)
    assert found[5, 6] and found[2, 1] and not found[2, 6]
    assert np.array_equal(labels(tmp_path / 'out_b'), found[::-1])


def test_boxes_of_labelme_from_any_corner(tmp_path):
    shapes = ('cat', [[3, 4], [1, 1]], 'rectangle'), ('cat', LEFT, 'rotation')
    for name, shape in zip('ab', shapes, strict=True):
        write_labelme(tmp_path / 'in', shape, name=name)
    out, _ = run(tmp_path / 'in')
    expected = np.zeros((4, 6))
    expected[1:4, 1:3] = 1
    assert np.array_equal(labels(out), expected)
    assert labels(out, 'b').sum() == 12


def test_shapes_of_one_class_do_not_count_as_overlapping(tmp_path):
    write_labelme(tmp_path / 'in', ('cat', LEFT), ('cat', DOT))
    _, summary = run(tmp_path / 'in')
    assert 'several classes' not in summary


def test_a_file_of_another_folder_is_no_match(tmp_path):
    """The one named photos/a.jpg must not become val/a.jpg."""
    write_labelme(tmp_path / 'in', ('cat', LEFT), imagePath='train/a.jpg')
    (tmp_path / 'in' / 'a.jpg').unlink()
    for folder in ('val', 'test/train'):
        save_image(tmp_path / 'photos' / folder / 'a.jpg', SIZE)
    argv = ['--images', tmp_path / 'photos']
    index = ImageIndex(str(tmp_path / 'photos'))
    assert index.find('train/a.jpg').endswith('test/train/a.jpg')
    assert index.find('x/a.jpg') is None
    run(tmp_path / 'in', *argv)


def test_the_same_path_and_case_come_first(tmp_path):
    for name in ('a.jpg', 'x/a.jpg', 'x/y/a.jpg', 'x/A.jpg'):
        save_image(tmp_path / name, SIZE)
    index = ImageIndex(str(tmp_path))
    for name in ('a.jpg', 'x/a.jpg', 'x/A.jpg', 'x\\y\\A.JPG'):
        found = index.find(name).removeprefix(f'{tmp_path}/')
        assert found.lower() == name.replace('\\', '/').lower()
    assert index.find('x/A.jpg').endswith('x/A.jpg')


def test_images_with_accents_and_in_linked_folders(tmp_path):
    """macOS decomposes the accents of file names."""
    save_image(tmp_path / 'disk' / 'cafe\u0301.jpg', SIZE)
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'photos' / 'linked').symlink_to(tmp_path / 'disk')
    index = ImageIndex(str(tmp_path / 'photos'))
    assert index.find('caf\u00e9.jpg')
    assert ImageIndex(str(tmp_path / 'photos'), by_stem=True).find('café.png')


def test_skipping_all_images_is_an_error(tmp_path):
    write_labelme(tmp_path / 'in', ('cat', LEFT))
    (tmp_path / 'in' / 'a.jpg').unlink()
    with pytest.raises(UsageError, match='1 of 1 images were not found'):
        run(tmp_path / 'in', '--skip-missing')


def test_ignore_and_drop_take_patterns(tmp_path):
    shapes = ('cat', LEFT), ('fog 1', DOT), ('roi 1', ALL), ('roi 2', ALL)
    write_labelme(tmp_path / 'in', *shapes)
    out, _ = run(tmp_path / 'in', '--ignore', 'fog*', '--drop', 'roi*')
    assert classes(out) == ['background', 'cat']
    assert np.array_equal(labels(out)[1], [1, 255, 1, 0, 0, 0])
