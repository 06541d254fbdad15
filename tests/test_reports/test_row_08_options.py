"""Row 8: values of ``--cfg-options`` arrive as they were typed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config

from mmdavpt.checks.names import set_option
from mmdavpt.cli import options, train
from mmdavpt.cli.options import parse_value

SCALARS = st.none() | st.booleans() | st.integers() | st.text()
SCALARS |= st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=8,
)
#: Texts that need no quotes: no brackets, no commas, and no numbers.
WORDS = st.from_regex(r'[a-z][\w\\/ .:=#+-]*[x-z]', fullmatch=True)


@settings(max_examples=50)
@given(VALUES)
def test_what_python_prints_is_read_back(value):
    parsed = parse_value(repr(value))
    assert parsed == value and type(parsed) is type(value)


@settings(max_examples=50)
@given(st.lists(WORDS, min_size=2))
def test_lists_of_texts_need_no_quotes(words):
    assert parse_value(','.join(words)) == words
    assert parse_value(f'[{", ".join(words)}]') == words
    assert parse_value(', '.join(words)) == ', '.join(words)


@settings(max_examples=50)
@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        value = parse_value(text)
    except ValueError:
        assert text.strip().startswith(('[', '(', '{', 'dict('))
    else:
        if isinstance(value, str):
            # Unchanged, except for quotes around it.
            assert value in text


@pytest.mark.parametrize(
    'typed, value',
    [
        ('work_dir=my runs', 'my runs'),
        (r'data_root=C:\new data\a=b', r'C:\new data\a=b'),
        ("classes=['a, b','traffic light']", ['a, b', 'traffic light']),
        ('classes=traffic light,sky', ['traffic light', 'sky']),
        ("x=[dict(type='X', a=[dict(b=1)])]", [dict(type='X', a=[dict(b=1)])]),
        ('x=[none, None, 0x10, -1, 1e-3]', ['none', None, 16, -1, 1e-3]),
        ('x=(1,2),(3,4)', [(1, 2), (3, 4)]),
        ('x=1,', [1]),
        ('x=[inf, -inf]', [float('inf'), -float('inf')]),
        ('x=person (adult),car', ['person (adult)', 'car']),
        ("x='a' b,c", ["'a' b", 'c']),
        ('x=', ''),
    ],
)
def test_options_of_the_command_line(typed, value):
    args = options.parse_arguments(
        train.add_arguments, ['c.py', '--cfg-options', typed]
    )
    assert args.cfg_options == {typed.partition('=')[0]: value}


@pytest.mark.parametrize('typed', ['[{1}]', '[a', '(a) b', 'dict(**{1: 2})'])
def test_what_looks_like_a_list_but_is_none_is_refused(typed):
    with pytest.raises(ValueError, match='check its brackets'):
        parse_value(typed)


def test_numbers_in_keys_are_indices():
    cfg = Config(dict(model=dict(heads=[dict(a=1), dict(a=2)])))
    set_option(cfg, 'model.heads.1.a', 'x, y')
    assert cfg.model.heads == [dict(a=1), dict(a='x, y')]
