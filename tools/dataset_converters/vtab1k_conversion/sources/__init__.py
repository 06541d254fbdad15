"""Read the datasets behind VTAB's tasks from their original downloads.

A source takes the folder of the unpacked download and returns the splits of
TensorFlow Datasets with its keys, which determine the 1,000 images that VTAB
trains on. Labels are those of the VTAB task. Images are the published ones,
except for SUN397 and retinopathy, which TensorFlow Datasets scales and
compresses.
"""

from collections.abc import Callable

from . import (
    arrays,
    cifar,
    clevr,
    dmlab,
    dsprites,
    image_folders,
    image_lists,
    kitti,
    retinopathy,
    smallnorb,
    sun397,
)
from .downloads import Download
from .example import Example, Splits

#: Reader of each task by the name of the task.
SOURCES: dict[str, Callable[[str], Splits]] = {
    'caltech101': image_folders.caltech101,
    'cifar': cifar.cifar100,
    'dtd': image_lists.dtd,
    'oxford_flowers102': image_lists.oxford_flowers102,
    'oxford_iiit_pet': image_lists.oxford_iiit_pet,
    'svhn': arrays.svhn,
    'sun397': sun397.sun397,
    'patch_camelyon': arrays.patch_camelyon,
    'eurosat': image_folders.eurosat,
    'resisc45': image_folders.resisc45,
    'diabetic_retinopathy': retinopathy.diabetic_retinopathy,
    'clevr_count': clevr.clevr_count,
    'clevr_dist': clevr.clevr_dist,
    'dmlab': dmlab.dmlab,
    'kitti': kitti.kitti,
    'dsprites_loc': dsprites.dsprites_loc,
    'dsprites_ori': dsprites.dsprites_ori,
    'smallnorb_azi': smallnorb.smallnorb_azi,
    'smallnorb_ele': smallnorb.smallnorb_ele,
}

#: Download of each task by the name of the task.
DOWNLOADS: dict[str, Download] = {
    'caltech101': image_folders.CALTECH101,
    'cifar': cifar.CIFAR100,
    'dtd': image_lists.DTD,
    'oxford_flowers102': image_lists.FLOWERS102,
    'oxford_iiit_pet': image_lists.PETS,
    'svhn': arrays.SVHN,
    'sun397': sun397.SUN397,
    'patch_camelyon': arrays.PATCH_CAMELYON,
    'eurosat': image_folders.EUROSAT,
    'resisc45': image_folders.RESISC45,
    'diabetic_retinopathy': retinopathy.RETINOPATHY,
    'clevr_count': clevr.CLEVR,
    'clevr_dist': clevr.CLEVR,
    'dmlab': dmlab.DMLAB,
    'kitti': kitti.KITTI,
    'dsprites_loc': dsprites.DSPRITES,
    'dsprites_ori': dsprites.DSPRITES,
    'smallnorb_azi': smallnorb.SMALLNORB,
    'smallnorb_ele': smallnorb.SMALLNORB,
}

__all__ = ['DOWNLOADS', 'SOURCES', 'Download', 'Example', 'Splits']
