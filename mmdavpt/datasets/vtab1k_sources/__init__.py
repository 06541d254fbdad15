"""The datasets behind VTAB's tasks, read from their original downloads.

A source takes the folder into which the download was unpacked and returns
the splits of TensorFlow Datasets, with its keys and in its order, since VTAB
draws its 1,000 training images by them. Labels are those of the VTAB task.
"""

from typing import Callable, Dict

from .arrays import PATCH_CAMELYON, SVHN, patch_camelyon, svhn
from .cifar import CIFAR100, cifar100
from .clevr import CLEVR, clevr_count, clevr_dist
from .dmlab import DMLAB, dmlab
from .downloads import Download
from .dsprites import DSPRITES, dsprites_loc, dsprites_ori
from .example import Example, Splits
from .image_folders import (
    CALTECH101,
    EUROSAT,
    RESISC45,
    caltech101,
    eurosat,
    resisc45,
)
from .image_lists import (
    DTD,
    FLOWERS102,
    PETS,
    dtd,
    oxford_flowers102,
    oxford_iiit_pet,
)
from .kitti import KITTI, kitti
from .retinopathy import RETINOPATHY, diabetic_retinopathy
from .smallnorb import SMALLNORB, smallnorb_azi, smallnorb_ele
from .sun397 import SUN397, sun397

#: Source of each task by the canonical name of the task.
SOURCES: Dict[str, Callable[[str], Splits]] = {
    'caltech101': caltech101,
    'cifar': cifar100,
    'dtd': dtd,
    'oxford_flowers102': oxford_flowers102,
    'oxford_iiit_pet': oxford_iiit_pet,
    'svhn': svhn,
    'sun397': sun397,
    'patch_camelyon': patch_camelyon,
    'eurosat': eurosat,
    'resisc45': resisc45,
    'diabetic_retinopathy': diabetic_retinopathy,
    'clevr_count': clevr_count,
    'clevr_dist': clevr_dist,
    'dmlab': dmlab,
    'kitti': kitti,
    'dsprites_loc': dsprites_loc,
    'dsprites_ori': dsprites_ori,
    'smallnorb_azi': smallnorb_azi,
    'smallnorb_ele': smallnorb_ele,
}

#: What to download for each task, and where.
DOWNLOADS: Dict[str, Download] = {
    'caltech101': CALTECH101,
    'cifar': CIFAR100,
    'dtd': DTD,
    'oxford_flowers102': FLOWERS102,
    'oxford_iiit_pet': PETS,
    'svhn': SVHN,
    'sun397': SUN397,
    'patch_camelyon': PATCH_CAMELYON,
    'eurosat': EUROSAT,
    'resisc45': RESISC45,
    'diabetic_retinopathy': RETINOPATHY,
    'clevr_count': CLEVR,
    'clevr_dist': CLEVR,
    'dmlab': DMLAB,
    'kitti': KITTI,
    'dsprites_loc': DSPRITES,
    'dsprites_ori': DSPRITES,
    'smallnorb_azi': SMALLNORB,
    'smallnorb_ele': SMALLNORB,
}

__all__ = ['DOWNLOADS', 'SOURCES', 'Download', 'Example', 'Splits']
