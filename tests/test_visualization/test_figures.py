"""Lines of text are cut and broken so that they fit."""

from mmdavpt.visualization.figures import shorten, text_width, wrap


def test_width_grows_with_size_and_length():
    assert text_width('', 9) == 0
    assert text_width('abc', 18) > 1.9 * text_width('abc', 9) > 0
    assert text_width('a$b$c', 9) > text_width('abc', 9)


def test_shorten_keeps_both_ends():
    name = 'Black_footed_Albatross_0001_796111.jpg'
    short = shorten(name, 1.5, 9)
    head, tail = short.split('…')
    assert name.startswith(head) and name.endswith(tail) and head and tail
    assert text_width(short, 9) <= 1.5 < text_width(name, 9)
    # One more character would not fit.
    longer = name[: len(head) + 1] + '…' + tail
    assert text_width(longer, 9) > 1.5
    assert shorten('short', 1.5, 9) == 'short'
    assert shorten('anything', 0.0, 9) == '…'


def test_wrap_breaks_after_joints():
    width = 1.02 * text_width('001.Black_footed_', 9)
    name = '001.Black_footed_Albatross'
    assert wrap(name, width, 9, 2) == ['001.Black_footed_', 'Albatross']
    assert wrap(name, 9, 9, 2) == [name]
    lines = wrap('one two three four five', text_width('three', 9), 9, 2)
    assert lines[0] == 'one' and lines[1].startswith('t')
    assert '…' in lines[1] and text_width(lines[1], 9) <= text_width(
        'three', 9
    )
    # What has no joint is cut, not lost.
    assert '…' in wrap('x' * 80, 1.0, 9, 2)[0]
