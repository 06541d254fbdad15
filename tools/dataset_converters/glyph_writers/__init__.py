"""Write glyphs and glyph scenes in the layouts of real datasets."""

from .fgvc import write_glyphs_fgvc
from .scenes import write_scenes_ade20k, write_scenes_pascal_context
from .vtab1k import write_glyphs_vtab1k

__all__ = [
    'write_glyphs_fgvc',
    'write_glyphs_vtab1k',
    'write_scenes_ade20k',
    'write_scenes_pascal_context',
]
