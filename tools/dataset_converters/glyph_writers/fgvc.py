"""Write glyphs as a fine-grained dataset with VPT's lists."""

import json
import math
import os.path as osp

from mmdavpt.datasets.benchmarks import Benchmark
from mmdavpt.datasets.fgvc import set_from

from ..file_writing import replace_text
from .single_glyphs import (
    SETTINGS_FILE,
    GlyphOptions,
    glyph_classes,
    write_glyphs,
)
from .split_folder import SplitFolder

#: Font faces of each split, and the offset of its seed, so that no two splits
#: show the same images in other faces.
FGVC_SPLITS = {
    'train': ('multiscript_train', 0),
    'val': ('multiscript_train', 1),
    'test': ('multiscript_test', 2),
}


def fgvc_sizes(fgvc_set: Benchmark, scale: float = 1.0) -> dict[str, int]:
    """Return the published or smaller sizes of a dataset.

    Args:
        fgvc_set (Benchmark): The dataset.
        scale (float): Fraction of the published sizes; at least one training
            image of each class remains, and one of any other split.
            Defaults to 1.0.

    Returns:
        dict[str, int]: Number of images of 'train', 'val' and 'test'.

    Raises:
        ValueError: If the scale is not above 0.
    """
    if not 0 < scale < math.inf:
        raise ValueError(f'scale should be above 0, but got {scale}')
    fewest = dict(train=fgvc_set.num_classes)
    return {
        split: max(round(scale * fgvc_set.sizes[split]), fewest.get(split, 1))
        for split in FGVC_SPLITS
    }


def write_glyphs_fgvc(
    out_dir: str,
    name: str = 'cub',
    sizes: dict[str, int] | None = None,
    **options,
) -> dict[str, int]:
    """Write single glyphs as a fine-grained dataset.

    Image ``i`` of a split becomes ``images/{split}/{i:06d}.png`` (``images``
    is the dataset's image folder) with the class id ``i % K + 1``. A stopped
    run resumes.

    Args:
        out_dir (str): Folder of the lists; it is created if necessary.
        name (str): See :class:`.FGVC`. Defaults to 'cub', 200 classes.
        sizes (dict[str, int], optional): Number of images of 'train', 'val'
            and 'test'. Defaults to None: the published ones.
        **options: See :class:`.GlyphOptions`.

    Returns:
        dict[str, int]: Number of images drawn by this call, by split.

    Raises:
        ValueError: If an argument is out of range, or the folder holds other
            files.
    """
    fgvc_set = set_from(name)
    sizes = {**fgvc_sizes(fgvc_set), **(sizes or {})}
    options = GlyphOptions(**options)
    classes = glyph_classes(fgvc_set.num_classes, options.style)
    if sizes['train'] < len(classes):
        raise ValueError(
            f'{fgvc_set.title} has {len(classes)} classes and needs as many '
            f'training images, but got {sizes["train"]}'
        )
    image_dir = next(filter(None, fgvc_set.image_dirs))
    drawn = {}
    for split, (faces, shift) in FGVC_SPLITS.items():
        target = SplitFolder(
            str(out_dir),
            split,
            ((f'{image_dir}/{split}', options.img_suffix),),
            SETTINGS_FILE,
            list_file=f'{split}.json',
        )
        entries = {
            f'{split}/{index:06d}{options.img_suffix}': index % len(classes)
            + 1
            for index in range(sizes[split])
        }
        drawn[split] = write_glyphs(
            target,
            sizes[split],
            classes,
            faces,
            options,
            options.seed + shift,
            list_lines=[json.dumps(entries, indent=0)],
        )
    names = json.dumps([each.name for each in classes])
    replace_text(osp.join(out_dir, 'classes.json'), names)
    return drawn
