"""A run formats its config once."""

import pytest
from mmengine.config import Config
from yapf.yapflib import yapf_api

from mmdavpt.engine.runner import install_format_cache


@pytest.fixture
def calls(monkeypatch):
    """Count the calls of a formatter that adds a comment."""
    calls = []

    def format_code(text, **options):
        calls.append((text, options))
        return f'# {len(calls)}\n{text}', True

    monkeypatch.setattr(yapf_api, 'FormatCode', format_code)
    # An installed one would be called instead of this formatter.
    install_format_cache.cache_clear()
    yield calls
    install_format_cache.cache_clear()


def test_configs_are_formatted_once(calls, tmp_path):
    install_format_cache()
    installed = yapf_api.FormatCode
    install_format_cache()
    assert yapf_api.FormatCode is installed
    cfg = Config(dict(a=1, b=[dict(c='x')]))
    first = cfg.pretty_text
    cfg.dump(tmp_path / 'config.py')
    assert cfg.pretty_text == first == (tmp_path / 'config.py').read_text()
    assert len(calls) == 1 and first.startswith('# 1\n')
    cfg.b[0].c = 'y'  # changed in place
    assert cfg.pretty_text.startswith('# 2\n') and "c='y'" in cfg.pretty_text
    assert len(calls) == 2
    # Other options are other texts.
    yapf_api.FormatCode('a = 1', style_config='pep8')
    yapf_api.FormatCode('a = 1', style_config='google')
    assert [options for _, options in calls[2:]] == [
        dict(style_config='pep8'),
        dict(style_config='google'),
    ]


def test_errors_are_not_kept(calls, monkeypatch):
    def fail(text, **options):
        calls.append(text)
        raise SyntaxError(text)

    monkeypatch.setattr(yapf_api, 'FormatCode', fail)
    install_format_cache()
    for _ in range(2):
        with pytest.raises(SyntaxError):
            yapf_api.FormatCode('a =')
    assert calls == ['a =', 'a =']
