"""Make VPT's lists from the original downloads of the FGVC datasets.

Image paths are relative to the same folder as in VPT's lists, so other readers
of those lists understand ours.
"""

from collections.abc import Callable

from .birds import read_cub, read_nabirds
from .cars import read_cars
from .dogs import read_dogs
from .flowers import read_flowers
from .original import Original

__all__ = ['ORIGINALS', 'Original']

#: Readers of the original downloads by the name of the dataset.
ORIGINALS: dict[str, Callable[[str], Original]] = dict(
    cub=read_cub,
    nabirds=read_nabirds,
    flowers=read_flowers,
    dogs=read_dogs,
    cars=read_cars,
)
