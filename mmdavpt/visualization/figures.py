"""Colors of figures, and figures as SVG."""

import re
import warnings
from base64 import b64encode
from io import StringIO

from matplotlib import rc_context
from matplotlib.figure import Figure

#: Colors that color-blind people tell apart (Okabe and Ito), and markers.
COLORS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9']
MARKERS = 'os^Dv'
#: Color of everything that is not data, and of data without a color.
INK, PALE = '#000000', '#9a9a9a'
#: Color of what changed.
ACCENT = COLORS[1]
_STYLE = (
    '<style>svg{color:#1c2024}text{fill:currentColor}@media(prefers-color-'
    'scheme:dark){svg{color:#e4e7ea}}</style>'
)


def to_svg(figure: Figure) -> str:
    """Return a figure as an SVG data URI that follows light and dark pages.

    Text stays text, in fonts of the browser, and ``INK`` becomes white on
    dark pages.

    Args:
        figure (Figure): The figure.
    """
    buffer = StringIO()
    with rc_context({'svg.fonttype': 'none'}), warnings.catch_warnings():
        # The browser has fonts that matplotlib lacks.
        warnings.filterwarnings('ignore', 'Glyph .* missing from')
        figure.savefig(buffer, format='svg', transparent=True, dpi=150)
    svg = re.sub(INK, 'currentColor', buffer.getvalue())
    svg = svg.replace('<defs>', f'{_STYLE}<defs>', 1)
    return f'data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}'
