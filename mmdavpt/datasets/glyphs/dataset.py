"""Datasets of characters, drawn on the fly."""

from collections.abc import Sequence

import numpy as np
from mmpretrain.datasets import BaseDataset
from mmseg.datasets import ADE20KDataset, BaseSegDataset

from mmdavpt.registry import DATASETS

from .alphabets import ALPHABETS, faces_from
from .rendering import render_glyph, render_scene
from .styles import style_from


@DATASETS.register_module()
class GlyphDataset(BaseDataset):
    """Images of single characters for classification.

    Image ``i`` shows character ``i % K`` and depends only on ``(seed, i)``.
    The input of the pipeline already has the image ``img``, uint8, BGR.

    Args:
        chars (str): A key of ``ALPHABETS``, or the characters; each is a
            class.
        faces (str | Sequence[str]): A key of ``FACES``, or font names.
        num_images (int): Number of images.
        seed (int): Seed of the images. Defaults to 0.
        img_size (int): Height and width in pixels. Defaults to 48.
        style (str | dict): See :func:`style_from`. Defaults to 'clean'.
        metainfo (dict, optional): More meta information; its class names
            replace the characters, in the same order. Defaults to None.
        **kwargs: See :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        ValueError: If a face lacks a character, the style is unknown, or the
            number of class names differs from that of the characters.
    """

    def __init__(
        self,
        chars: str,
        faces: str | Sequence[str],
        num_images: int,
        seed: int = 0,
        img_size: int = 48,
        style: str | dict = 'clean',
        metainfo: dict | None = None,
        **kwargs,
    ) -> None:
        self.chars = ALPHABETS.get(chars, chars)
        self.faces = faces_from(faces, self.chars)
        metainfo = {'classes': tuple(self.chars), **(metainfo or {})}
        if len(metainfo['classes']) != len(self.chars):
            raise ValueError(
                f'metainfo should name {len(self.chars)} classes, one for '
                f'each character, but got {len(metainfo["classes"])}'
            )
        self.num_images = num_images
        self.seed = seed
        self.size = (img_size, img_size)
        self.style = style_from(style)
        super().__init__(ann_file='', metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """List the labels; images are drawn on access."""
        return [
            dict(gt_label=index % len(self.chars), glyph_index=index)
            for index in range(self.num_images)
        ]

    def get_gt_labels(self) -> np.ndarray:
        """Return all labels with shape (n, ), without drawing."""
        return np.array([self.get_cat_ids(i)[0] for i in range(len(self))])

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the label of one image in a list, without drawing."""
        return [super().get_data_info(idx)['gt_label']]

    def get_data_info(self, idx: int) -> dict:
        """Draw an image and return its data info; ``img`` is uint8, BGR."""
        info = super().get_data_info(idx)
        char, seed = self.chars[info['gt_label']], info['glyph_index']
        drawn = (self.faces, (self.seed, seed), self.size, self.style)
        info['img'] = render_glyph(char, *drawn)
        info['img_shape'] = info['ori_shape'] = self.size
        return info


#: Classes of the scenes: the paper comes first, as a background class.
SCENE_CHARS = ALPHABETS['latin_upper']
SCENE_CLASSES = ('background',) + tuple(SCENE_CHARS)

#: RGB colors of the classes: light grey paper, then one for each letter from
#: P. Green-Armytage, "A Colour Alphabet and the Limits of Colour Coding"
#: (2010), which chose them to be distinguishable.
SCENE_COLORS = (
    'e1e1e1 f0a3ff 0075dc 993f00 4c005c 191919 005c31 2bce48 ffcc99 '
    '808080 94ffb5 8f7c00 9dcc00 c20088 003380 ffa405 ffa8bb 426600 '
    'ff0010 5ef1f2 00998f e0ff66 740aff 990000 ffff80 ffe100 ff5005'
)
SCENE_PALETTE = [list(bytes.fromhex(c)) for c in SCENE_COLORS.split()]
SCENE_METAINFO = dict(classes=SCENE_CLASSES, palette=SCENE_PALETTE)


@DATASETS.register_module()
class GlyphSceneDataset(BaseSegDataset):
    """Scenes of several characters with pixel labels, drawn on the fly.

    Scene ``i`` depends only on ``(seed, i)``. The annotation follows ADE20K's
    convention with ``reduce_zero_label``.

    Args:
        faces (str | Sequence[str]): A key of ``FACES``, or font names.
        num_images (int): Number of scenes.
        seed (int): Seed of the scenes. Defaults to 0.
        size (tuple[int, int]): Height and width in pixels.
            Defaults to (96, 96).
        style (str | dict): See :func:`style_from`. Defaults to 'clean'.
        **kwargs: See :class:`mmseg.datasets.BaseSegDataset`; classes that
            ``metainfo`` leaves out are ignored.

    Raises:
        ValueError: If a face lacks a character, or the style is unknown.
    """

    METAINFO = SCENE_METAINFO

    def __init__(
        self,
        faces: str | Sequence[str],
        num_images: int,
        seed: int = 0,
        size: tuple[int, int] = (96, 96),
        style: str | dict = 'clean',
        **kwargs,
    ) -> None:
        self.faces = faces_from(faces, SCENE_CHARS)
        self.num_images = num_images
        self.seed = seed
        self.size = tuple(size)
        self.style = style_from(style)
        super().__init__(reduce_zero_label=True, **kwargs)

    def load_data_list(self) -> list[dict]:
        """List the scenes; they are drawn on access."""
        common = dict(label_map=self.label_map)
        common['reduce_zero_label'] = self.reduce_zero_label
        names = [f'scene_{index:06d}' for index in range(self.num_images)]
        return [
            dict(scene_index=index, img_path=name, **common, seg_fields=[])
            for index, name in enumerate(names)
        ]

    def get_data_info(self, idx: int) -> dict:
        """Draw a scene and return its data info with ``gt_seg_map``."""
        info = super().get_data_info(idx)
        seed = (self.seed, info['scene_index'])
        drawn = (self.faces, seed, self.size, self.style)
        info['img'], annotation = render_scene(SCENE_CHARS, *drawn)
        # As loaded: 0 (nothing) becomes 255 and all others decrease by one;
        # then the selected classes are renumbered and the others ignored.
        lookup = np.arange(-1, 255).astype(np.uint8)
        for old, new in (self.label_map or {}).items():
            lookup[old + 1] = new
        info['gt_seg_map'] = lookup[annotation]
        info['seg_fields'].append('gt_seg_map')
        info['img_shape'] = info['ori_shape'] = self.size
        return info


@DATASETS.register_module()
class GlyphADE20KDataset(ADE20KDataset):
    """MMSegmentation's ADE20K reader with the classes of glyph scenes."""

    METAINFO = SCENE_METAINFO
