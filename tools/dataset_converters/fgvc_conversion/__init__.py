"""Read the original downloads of the fine-grained (FGVC) data sets.

The image paths are relative to the folder that VPT's lists are relative to,
so that other readers of those lists understand the ones made here.
"""

from collections.abc import Callable

from .birds import read_cub, read_nabirds
from .cars import read_cars
from .dogs import read_dogs
from .flowers import read_flowers
from .original import Original

__all__ = ['ORIGINALS', 'Original']

#: The readers of the original downloads, by the name of the set.
ORIGINALS: dict[str, Callable[[str], Original]] = dict(
    cub=read_cub,
    nabirds=read_nabirds,
    flowers=read_flowers,
    dogs=read_dogs,
    cars=read_cars,
)
