"""Classes of masks: values, names, colors and palettes."""

import json

import numpy as np
import pytest
from PIL import Image

from mmdavpt.cli.mask_classes import read_mask_classes
from mmdavpt.datasets.folders import palette
from mmdavpt.errors import UsageError

RED, BLUE = (200, 0, 0), (0, 0, 200)


def write(folder, *masks):
    """Write masks of one pixel for each value or color."""
    paths = []
    for k, mask in enumerate(masks):
        path = folder / f'{k}.png'
        Image.fromarray(np.array([mask], np.uint8)).save(path)
        paths.append(str(path))
    return paths


@pytest.mark.parametrize(
    'masks, names, settings, classes',
    [
        ([[0, 1, 255], [2, 0]], [], {}, [[0, 1], [0, 2]]),
        ([[0, 255], [0]], [], dict(value_map={0: 0, 255: 1}), [[0, 1], [0]]),
        (
            [[1, 2], [3]],
            ['x', 'y', 'z'],
            dict(value_map={1: 0, 2: 1, 3: 2}),
            [[0, 1], [2]],
        ),
        ([[0, 2]], ['x', 'y', 'z', 'w'], {}, [[0, 2]]),
    ],
)
def test_values_and_names(tmp_path, masks, names, settings, classes):
    if names:
        (tmp_path / 'classes.txt').write_text('\n'.join(names))
    paths = write(tmp_path, *masks)
    found, of_mask = read_mask_classes(tmp_path, paths)
    count = max(max(c) for c in classes) + 1
    found_names = names or [f'class_{k}' for k in range(count)]
    assert found == dict(
        settings, classes=found_names, palette=palette(len(found_names))
    )
    assert [of_mask[path] for path in paths] == classes


@pytest.mark.parametrize(
    'file, text',
    [
        ('classes.json', json.dumps(dict(x=RED, y=BLUE))),
        ('labelmap.txt', '# label:color_rgb\nx:200,0,0::\ny:0,0,200::\n'),
    ],
)
def test_colors(tmp_path, file, text):
    (tmp_path / file).write_text(text)
    paths = write(tmp_path, [BLUE, RED], [BLUE])
    settings, of_mask = read_mask_classes(tmp_path, paths)
    colors = [[*RED], [*BLUE]]
    assert settings == dict(
        classes=['x', 'y'], palette=colors, color_map=colors
    )
    assert [*of_mask.values()] == [[0, 1], [1]]
    write(tmp_path, [(1, 2, 3)])
    with pytest.raises(UsageError, match=r'0.png has the color \(1, 2, 3\)'):
        read_mask_classes(tmp_path, paths)


def test_background_guides_no_prompt(tmp_path):
    (tmp_path / 'classes.txt').write_text('Background\ncar\n')
    settings, _ = read_mask_classes(tmp_path, write(tmp_path, [0, 1]))
    assert settings['background_class'] == 0


def test_palette_of_indexed_masks(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert('P')
    image.putpalette([*RED, *BLUE] + [0] * 750)
    image.save(tmp_path / 'a.png')
    settings, _ = read_mask_classes(tmp_path, [str(tmp_path / 'a.png')])
    assert settings['palette'] == [[*RED], [*BLUE]]


@pytest.mark.parametrize(
    'mask, file, sentence',
    [
        ([RED, BLUE], None, r'has colors \(RGB\).* name .* classes.json'),
        ([3], None, 'should be two or more classes'),
        ([*range(100)], None, 'the values 100'),
        ([0, 5], '["a", "b", "c"]', '0.png has the value 5, .* 3 classes'),
        ([0, 1], '{"a": 1}', 'classes.json should be a list of names'),
        ([0, 1], '["a"', 'classes.json should be a list of names'),
    ],
)
def test_masks_without_classes(tmp_path, mask, file, sentence):
    if file:
        (tmp_path / 'classes.json').write_text(file)
    with pytest.raises(UsageError, match=sentence):
        read_mask_classes(tmp_path, write(tmp_path, mask))
