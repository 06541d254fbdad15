"""Dataset readers: folders, VTAB-1k, FGVC, glyphs drawn on the fly."""

from .fgvc import FGVC as FGVC
from .folders import ImageFolder as ImageFolder
from .folders import SegmentationFolder as SegmentationFolder
from .glyphs import GlyphADE20KDataset as GlyphADE20KDataset
from .glyphs import GlyphDataset as GlyphDataset
from .glyphs import GlyphSceneDataset as GlyphSceneDataset
from .load_masks import LoadMasks as LoadMasks
from .vtab1k import VTAB1k as VTAB1k
