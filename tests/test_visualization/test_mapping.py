"""Which classes share a prompt: groups, figures, and show_mapping.py."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from mmdavpt.visualization import mapping_figure
from mmdavpt.visualization.figures import ACCENT
from tools.visualization import show_mapping
from tools.visualization.show_mapping import draw_mapping, prompt_groups


def words(figure):
    return [t.get_text() for t in figure.axes[0].texts]


def coloured(figure):
    return [
        t.get_text()
        for t in figure.axes[0].texts
        if to_hex(t.get_color()) == ACCENT
    ]


def test_groups_by_hand():
    assert prompt_groups([1, 0, 1, -1, 3]) == [[1], [0, 2], [], [4]]
    assert prompt_groups([0], num_prompts=2) == [[0], []]
    assert prompt_groups([-1, -1]) == []


@given(st.lists(st.integers(-1, 6), min_size=1, max_size=40))
def test_groups_hold_each_class_once(mapping):
    groups = prompt_groups(mapping, 7)
    assert len(groups) == 7
    assert all(
        mapping[k] == p for p, group in enumerate(groups) for k in group
    )
    assert sum(map(len, groups)) == sum(p >= 0 for p in mapping)


@pytest.mark.parametrize(
    'mapping, message',
    [
        ([0, 5], r'lie in \[-1, 3\), but got values from 0 to 5'),
        ([-2, 0], 'values from -2 to 0'),
    ],
)
def test_bad_mappings_are_rejected(mapping, message):
    with pytest.raises(ValueError, match=message):
        prompt_groups(mapping, 3)


def test_figure_names_each_class_once_per_column():
    figure = mapping_figure(
        'ABC', [('before', [0, 0, 1]), ('after', [0, 1, 1])], None, 3
    )
    texts = words(figure)
    assert [texts.count(c) for c in 'ABC'] == [2, 2, 2]
    assert {'before', 'after', 'prompt 0', 'prompt 1', 'prompt 2'} <= set(
        texts
    )
    assert texts.count('unassigned') == 2
    assert 'no prompt' not in texts
    assert coloured(figure) == [
        'B',
        'B',
        '1 of 3 classes changed their prompt',
    ]


def test_classes_are_in_the_row_of_their_prompt():
    figure = mapping_figure('AB', [('now', [1, 0])])
    place = {t.get_text(): t.get_position()[1] for t in figure.axes[0].texts}
    # Letters hang from their position, and prompts are in the middle.
    assert 0 < place['prompt 1'] - place['A'] < 0.2
    assert 0 < place['prompt 0'] - place['B'] < 0.2
    # The y axis points down; rows do not touch.
    assert place['A'] - place['B'] > 0.3


def test_classes_without_a_prompt_have_a_row():
    figure = mapping_figure('AB', [('before', [-1, 0]), ('after', [0, 0])])
    assert 'no prompt' in words(figure)
    assert 'unassigned' not in words(figure)
    assert coloured(figure)[:2] == ['A', 'A']


def test_many_classes_break_into_lines_within_their_column():
    names = [f'class of things {k}' for k in range(30)] + [r'$\nope$']
    mapping = np.zeros(31, dtype=int)
    figure = mapping_figure(names, [('a', mapping), ('b', mapping)])
    figure.canvas.draw()
    width, height = figure.get_size_inches() * figure.dpi
    second = (
        [t for t in figure.axes[0].texts if t.get_text() == 'b'][0]
        .get_window_extent()
        .x0
    )
    for text in figure.axes[0].texts:
        box = text.get_window_extent()
        assert 0 <= box.x0 and box.x1 <= width
        assert 0 <= box.y0 and box.y1 <= height
        assert not box.x0 < second - 1 < box.x1 or text.get_text() == 'a'
    assert words(figure).count(r'$\nope$') == 2
    assert 'class of\nthings 29' in words(figure)


def test_texts_do_not_overlap():
    names = ['STOP SIGN AHEAD', 'Black_footed_Albatross', 'i', 'n' * 40]
    names.append('ÀÉ ' * 9)
    figure = mapping_figure(names * 4, [('now', [0, 1] * 10)])
    figure.canvas.draw()
    boxes = [t.get_window_extent() for t in figure.axes[0].texts]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_pictures_are_above_their_names():
    red = np.full((10, 20, 3), (255, 0, 0), np.uint8)
    blue = np.full((20, 10, 3), (0, 0, 255), np.uint8)
    times = [('before', [0, 0, 1]), ('after', [0, 1, 1])]
    figure = mapping_figure(['a', 'b', 'c'], times, {0: red, 2: blue}, 4)
    [ax] = figure.axes
    found = [(image.get_array()[0, 0, 0], image) for image in ax.images]
    assert [color for color, _ in found] == [255, 0, 255, 0]
    place = [t.get_position() for t in ax.texts if t.get_text() == 'c']
    for (x, y), (_, image) in zip(place, found[1::2], strict=True):
        left, right, bottom, top = image.get_extent()
        assert left == x and bottom < y < bottom + 0.1
        assert (bottom - top) == pytest.approx(2 * (right - left))
    assert ax.get_xlim()[0] == 0 and ax.get_ylim()[1] == 0
    assert words(figure).count('unassigned') == 4
    pixels = render(figure)
    # The picture of the class, in the color that it has.
    assert (pixels == (255, 0, 0)).all(-1).any()
    assert (pixels == (0, 0, 255)).all(-1).any()


def render(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def test_draw_mapping_writes_a_file(tmp_path):
    path = tmp_path / 'new' / 'mapping.png'
    draw_mapping('AB', [('now', [0, 1])], str(path))
    assert path.stat().st_size > 1000


def test_bad_figures_are_rejected():
    with pytest.raises(ValueError, match='now maps 3 classes, not 2'):
        mapping_figure('AB', [('now', [0, 1, 0])])
    # A prompt is drawn, whatever the number.
    assert 'prompt 1' in words(mapping_figure('AB', [('now', [0, 1])], {}, 1))


def save(path, mapping, classes=None, prefix='', num_prompts=3):
    state = {
        f'{prefix}guidance.mapping': torch.tensor(mapping),
        f'{prefix}guidance.centroids': torch.zeros(num_prompts, 4),
    }
    meta = dict(dataset_meta=dict(classes=classes)) if classes else {}
    torch.save(dict(state_dict=state, meta=meta), path)
    return str(path)


def test_tool_prints_and_draws(tmp_path, capsys):
    first = save(tmp_path / 'epoch_1.pth', [0, 0, -1, 1], ('w', 'x', 'y', 'z'))
    last = save(tmp_path / 'epoch_2.pth', [0, 1, -1, 1], prefix='module.')
    out = tmp_path / 'mapping.png'
    show_mapping.main([first, last, '--out', str(out)])
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        first,
        'prompt   0: w x',
        'prompt   1: z',
        'prompt   2: (unassigned)',
        'no prompt : y',
        last,
        'prompt   0: w',
        'prompt   1: x z',
        'prompt   2: (unassigned)',
        'no prompt : y',
        '1 classes changed their prompt: x',
        f'picture: {out}',
    ]
    assert out.stat().st_size > 1000


def test_tool_reads_class_names():
    saved = ('w', 'x')
    assert show_mapping.choose_class_names(None, saved, 2) == saved
    assert show_mapping.choose_class_names(None, None, 2) == ['0', '1']
    assert show_mapping.choose_class_names('AB', saved, 2) == ['A', 'B']
    assert show_mapping.choose_class_names('cat, dog', saved, 2) == [
        'cat',
        'dog',
    ]
    with pytest.raises(ValueError, match='name 2 classes, but names 3'):
        show_mapping.choose_class_names('ABC', saved, 2)


def test_tool_rejects_checkpoints_without_a_mapping(tmp_path):
    torch.save(
        dict(state_dict=dict(weight=torch.zeros(1))), tmp_path / 'plain.pth'
    )
    with pytest.raises(ValueError, match='use the checkpoint of a guided'):
        show_mapping.read_mapping(str(tmp_path / 'plain.pth'))
    path = save(tmp_path / 'fresh.pth', [-1, -1])
    with pytest.raises(ValueError, match='was never set'):
        show_mapping.read_mapping(path)


def test_tool_needs_no_centroids(tmp_path):
    torch.save({'guidance.mapping': torch.tensor([0, 1])}, tmp_path / 'a.pth')
    assert show_mapping.read_mapping(str(tmp_path / 'a.pth')).num_prompts == 2
