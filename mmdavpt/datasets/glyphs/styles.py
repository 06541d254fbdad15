"""Styles of glyphs and glyph scenes."""

from dataclasses import dataclass, replace

from mmdavpt.errors import check_choice


@dataclass(frozen=True)
class GlyphStyle:
    """Style of glyphs. All amplitudes are fractions of the full range 255.

    Attributes:
        ink (tuple[float, float]): Range of the grey level of the ink.
        paper (tuple[float, float]): Range of the grey level of the paper.
        swap (float): Probability that ink and paper are swapped.
        colour (float): Largest deviation of each channel from the grey level.
        texture (float): Amplitude of the smooth background texture.
        noise (float): Amplitude of the noise of single pixels.
        size (tuple[float, float]): Range of the em size, as a fraction of the
            shorter image side.
        rotation (float): Largest rotation in degrees.
        shift (float): Largest shift, as a fraction of the image.
        strokes (int): Number of stray lines drawn across the image.
    """

    ink: tuple[float, float] = (0.0, 0.35)
    paper: tuple[float, float] = (0.65, 1.0)
    swap: float = 0.0
    colour: float = 0.1
    texture: float = 0.1
    noise: float = 0.05
    size: tuple[float, float] = (0.7, 0.95)
    rotation: float = 12.0
    shift: float = 0.1
    strokes: int = 0


#: Styles by name. The backbone is pre-trained on ``clean`` (dark on light) and
#: tuned to ``inverted`` (light on dark), where a linear probe is worse than
#: full tuning and prompts are in between. ``rough`` is hard for all.
STYLES: dict[str, GlyphStyle] = {
    'clean': GlyphStyle(),
    'inverted': GlyphStyle(swap=1.0, texture=0.15, noise=0.1),
    'rough': GlyphStyle(
        **dict(ink=(0.0, 0.6), paper=(0.4, 1.0), swap=0.5, colour=0.25),
        **dict(texture=0.3, noise=0.2, rotation=20.0, shift=0.12, strokes=2),
    ),
}


def style_from(style) -> GlyphStyle:
    """Return a :class:`GlyphStyle` from a name, a dict of changes, or itself.

    Args:
        style (str | dict | GlyphStyle): A key of ``STYLES``; or a dict of
            fields to change, with an optional ``base`` (a key of ``STYLES``,
            defaults to 'clean').

    Raises:
        ValueError: If the name is unknown.
        TypeError: If a field is unknown.
    """
    if isinstance(style, GlyphStyle):
        return style
    changes = {'base': style} if isinstance(style, str) else dict(style)
    base = changes.pop('base', 'clean')
    check_choice('glyph style', base, STYLES)
    return replace(STYLES[base], **changes)
