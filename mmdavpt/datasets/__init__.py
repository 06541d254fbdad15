"""Dataset readers: folders, VTAB-1k, FGVC, glyphs drawn on the fly."""

from .fgvc import FGVC as FGVC
from .glyphs import GlyphADE20KDataset as GlyphADE20KDataset
from .glyphs import GlyphDataset as GlyphDataset
from .glyphs import GlyphSceneDataset as GlyphSceneDataset
from .image_folder import ImageFolder as ImageFolder
from .load_masks import LoadMasks as LoadMasks
from .segmentation_folder import SegmentationFolder as SegmentationFolder
from .vtab1k import VTAB1k as VTAB1k
