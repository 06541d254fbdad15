"""Write glyph scenes to disk in the layouts of the real datasets."""

import json
import os
import os.path as osp
from functools import partial
from typing import Any, Dict, Sequence, Tuple, Union

from PIL import Image

from .glyph_rendering import render_scene
from .glyph_styles import GlyphStyle, style_from
from .glyphs import SCENE_CHARS, check_integers, faces_from, scene_size
from .writing import replace_file, run_parallel

#: The splits of ADE20K and the faces that their scenes are drawn with.
ADE20K_FACES = {'training': 'latin_train', 'validation': 'latin_test'}
#: How images are encoded: at full colour resolution, since the strokes are
#: thin; PNG loses nothing.
IMAGE_FORMATS: Dict[str, Dict[str, Any]] = {
    '.jpg': dict(format='JPEG', quality=95, subsampling=0),
    '.png': dict(format='PNG'),
}
#: The file that says what the scenes of a folder were drawn with.
SETTINGS_FILE = 'glyph_scenes.json'


def write_scenes_ade20k(
    out_dir: str,
    split: str,
    num_images: int,
    seed: int = 0,
    faces: Union[str, Sequence[str], None] = None,
    size: Tuple[int, int] = (96, 96),
    style: Union[str, dict] = 'clean',
    img_suffix: str = '.jpg',
    num_workers: int = 0,
) -> int:
    """Write one split of glyph scenes in the layout of ADE20K.

    Scene ``i`` becomes ``images/{split}/scene_{i:06d}.jpg`` and
    ``annotations/{split}/scene_{i:06d}.png``, where 0 is nothing, 1 the paper
    and 2 and more the characters; it is what :class:`GlyphSceneDataset` draws
    with the same arguments. Scenes that are there already are kept, so that a
    stopped run goes on where it was.

    Args:
        out_dir (str): The folder; it is made if need be.
        split (str): 'training' or 'validation'.
        num_images (int): The number of scenes.
        seed (int): Seed of the scenes. Defaults to 0.
        faces (str | Sequence[str], optional): See :class:`GlyphSceneDataset`.
            Defaults to None: those of ``ADE20K_FACES``, which are disjoint.
        size (Tuple[int, int]): Height and width in pixels.
            Defaults to (96, 96).
        style (str | dict): See :func:`style_from`. Defaults to 'clean'.
        img_suffix (str): '.jpg' (quality 95), which the stock reader expects,
            or '.png' (lossless). Defaults to '.jpg'.
        num_workers (int): Processes that draw; 0 draws in this one.
            Defaults to 0.

    Returns:
        int: The number of scenes drawn now.

    Raises:
        ValueError: If an argument is out of its range, or the folder holds
            something else.
    """
    if split not in ADE20K_FACES:
        raise ValueError(
            f'split should be one of {sorted(ADE20K_FACES)}, but got {split!r}'
        )
    if img_suffix not in IMAGE_FORMATS:
        raise ValueError(
            'img_suffix should be one of '
            f'{sorted(IMAGE_FORMATS)}, but got {img_suffix!r}'
        )
    check_integers(0, seed=seed, num_workers=num_workers)
    check_integers(1, num_images=num_images)
    faces = faces_from(faces or ADE20K_FACES[split], SCENE_CHARS)
    size, style = scene_size(size), style_from(style)

    folders = tuple(
        osp.join(out_dir, kind, split) for kind in ('images', 'annotations')
    )
    for folder in folders:
        os.makedirs(folder, exist_ok=True)
    _claim_folder(
        out_dir,
        split,
        folders,
        dict(
            seed=int(seed),
            faces=list(faces),
            size=list(size),
            style={k: _jsonable(v) for k, v in vars(style).items()},
            img_suffix=img_suffix,
        ),
    )
    todo = _missing_scenes(folders, num_images, img_suffix)
    draw = partial(_write_scene, folders, img_suffix, faces, seed, size, style)
    run_parallel(draw, todo, num_workers, f'{split} scenes')
    return len(todo)


def _jsonable(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _claim_folder(
    out_dir: str, split: str, folders: Sequence[str], settings: dict
) -> None:
    """Note the settings of a split; refuse a folder with other contents."""
    path = osp.join(out_dir, SETTINGS_FILE)
    noted = {}
    if osp.exists(path):
        with open(path, encoding='utf-8') as file:
            noted = json.load(file)
    if split not in noted:
        if any(map(os.listdir, folders)):
            raise ValueError(
                f'{" or ".join(folders)} holds files that are not glyph '
                'scenes of this writer; choose another folder'
            )
        noted[split] = settings
        replace_file(
            path, lambda file: file.write(json.dumps(noted, indent=1).encode())
        )
    elif noted[split] != settings:
        changed = sorted(
            k for k in settings if noted[split].get(k) != settings[k]
        )
        raise ValueError(
            f'{out_dir} holds {split} scenes that were drawn with another '
            f'{" and ".join(changed)} (see {path}); delete it or choose '
            'another folder'
        )


def _missing_scenes(
    folders: Sequence[str], num_images: int, img_suffix: str
) -> list:
    """List the scenes that are not complete; remove what a stop left."""
    found = []
    for folder, suffix in zip(folders, (img_suffix, '.png'), strict=True):
        names = os.listdir(folder)
        for name in names:
            if name.endswith('.tmp'):
                os.remove(osp.join(folder, name))
        found.append({n for n in names if n.endswith(suffix)})
    wanted = [_scene_name(index) for index in range(num_images)]
    surplus = len(found[0] - {name + img_suffix for name in wanted})
    if surplus:
        raise ValueError(
            f'{folders[0]} holds {surplus} images beyond the {num_images} '
            'asked for, which a reader would read too; delete the folder, '
            'choose another, or ask for more'
        )
    return [
        index
        for index, name in enumerate(wanted)
        if name + img_suffix not in found[0] or name + '.png' not in found[1]
    ]


def _scene_name(index: int) -> str:
    return f'scene_{index:06d}'


def _write_scene(
    folders: Sequence[str],
    img_suffix: str,
    faces: Sequence[str],
    seed: int,
    size: Tuple[int, int],
    style: GlyphStyle,
    index: int,
) -> None:
    """Draw scene ``index`` and write its annotation, then its image."""
    image, annotation = render_scene(
        SCENE_CHARS, faces, (seed, index), size, style
    )
    for folder, suffix, pixels, options in (
        (folders[1], '.png', annotation, IMAGE_FORMATS['.png']),
        (folders[0], img_suffix, image[..., ::-1], IMAGE_FORMATS[img_suffix]),
    ):
        replace_file(
            osp.join(folder, _scene_name(index) + suffix),
            partial(Image.fromarray(pixels).save, **options),
        )
