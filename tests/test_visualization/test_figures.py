"""Names in any script are readable: a font with the glyphs, or numbers."""

import warnings

import pytest

from tools.visualization import figures, show_mapping
from tools.visualization.figures import readable_names

NAMES = ['cat', '犬', '山\u3000川']


@pytest.fixture
def fonts(monkeypatch):
    """Return a function that installs fonts: name -> characters."""

    def install(**characters):
        class Font:
            def __init__(self, name):
                self.name = self.fname = name

        default = figures.findfont(figures.FontProperties())
        known = {default: figures._characters(default), **characters}
        monkeypatch.setattr(
            figures.fontManager, 'ttflist', [*map(Font, characters)]
        )
        monkeypatch.setattr(figures, '_characters', known.__getitem__)

    return install


def test_names_of_the_default_font_stay(fonts):
    fonts(CJK=set('犬山川'))
    assert readable_names(['cat', 'é Ж']) == (['cat', 'é Ж'], ['DejaVu Sans'])


def test_a_font_with_all_missing_glyphs_is_chosen(fonts):
    fonts(Part=set('犬'), CJK=set('犬山川'))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        names, families = readable_names(NAMES)
    assert names == NAMES and families == ['DejaVu Sans', 'CJK']


def test_names_without_a_font_become_numbers(fonts):
    # The last font of matplotlib has a box for every character.
    fonts(**{'Last Resort': set('犬山川'), 'Part': set('犬')})
    with pytest.warns(UserWarning, match="no installed font has '山川犬'"):
        assert readable_names(NAMES)[0] == ['cat', '#1', '#2']


def test_figures_draw_readable_names(fonts, recwarn, monkeypatch):
    fonts()
    drawn = []
    monkeypatch.setattr(
        show_mapping, 'save_figure', lambda f, _: drawn.append(f)
    )
    show_mapping.draw_mapping(NAMES, [('now', [0, 0, 1])], 'a.png')
    [figure] = drawn
    figure.canvas.draw()
    assert [str(w.message)[:17] for w in recwarn] == ['no installed font']
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {'cat', '#1', '#2'} <= texts
