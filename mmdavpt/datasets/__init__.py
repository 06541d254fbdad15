"""Dataset readers: folders, VTAB-1k, FGVC, glyphs drawn on the fly."""

from .fgvc import FGVC
from .glyphs import GlyphADE20KDataset, GlyphDataset, GlyphSceneDataset
from .image_folder import ImageFolder
from .load_masks import LoadMasks
from .segmentation_folder import SegmentationFolder
from .vtab1k import VTAB1k

__all__ = [
    'FGVC',
    'GlyphADE20KDataset',
    'GlyphDataset',
    'GlyphSceneDataset',
    'ImageFolder',
    'LoadMasks',
    'SegmentationFolder',
    'VTAB1k',
]
