"""Reader of the five fine-grained (FGVC) datasets."""

from .dataset import FGVC
from .sets import SETS, SPLITS, default_root, set_from
