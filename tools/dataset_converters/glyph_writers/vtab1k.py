"""Write glyphs as a task of VTAB-1k."""

import os.path as osp

from mmdavpt.datasets.vtab1k import task_from

from ..file_writing import replace_text
from .single_glyphs import (
    SETTINGS_FILE,
    GlyphOptions,
    glyph_classes,
    write_glyphs,
)
from .split_folder import SplitFolder

#: Font faces of each split, the offset of its seed, and the number of its
#: first image. The first two splits together are the third.
VTAB1K_SPLITS = {
    'train800': ('multiscript_train', 0, 0),
    'val200': ('multiscript_train', 0, 800),
    'train800val200': ('multiscript_train', 0, 0),
    'test': ('multiscript_test', 1, 0),
}


def write_glyphs_vtab1k(
    out_dir: str,
    task: str = 'kitti',
    num_test: int | None = None,
    **options,
) -> dict[str, int]:
    """Write single glyphs as a task of VTAB-1k.

    Image ``i`` of a split becomes ``{task}/images/{split}/{i:06d}.png``. The
    images of 'train800' and 'val200', drawn again, are those of
    'train800val200'. A stopped run resumes.

    Args:
        out_dir (str): Folder of all tasks; it is created if necessary.
        task (str): See :class:`.VTAB1k`. Defaults to 'kitti', 4 classes.
        num_test (int, optional): Number of test images. Defaults to None:
            that of the task.
        **options: See :class:`.GlyphOptions`.

    Returns:
        dict[str, int]: Number of images drawn by this call, by split.

    Raises:
        ValueError: If an argument is out of range, or the folder holds other
            files.
    """
    vtab_task = task_from(task)
    options = GlyphOptions(**options)
    classes = glyph_classes(vtab_task.num_classes, options.style)
    sizes = dict(vtab_task.sizes)
    if num_test is not None:
        sizes['test'] = num_test
    folder = osp.join(out_dir, vtab_task.name)
    drawn = {}
    for split, (faces, shift, start) in VTAB1K_SPLITS.items():
        target = SplitFolder(
            folder,
            split,
            ((f'images/{split}', options.img_suffix),),
            SETTINGS_FILE,
            list_file=f'{split}.txt',
        )
        drawn[split] = write_glyphs(
            target,
            sizes[split],
            classes,
            faces,
            options,
            options.seed + shift,
            start,
            [
                f'images/{split}/{index:06d}{options.img_suffix} '
                f'{(start + index) % len(classes)}'
                for index in range(sizes[split])
            ],
        )
    names = ''.join(f'{each.name}\n' for each in classes)
    replace_text(osp.join(folder, 'classes.txt'), names)
    return drawn
