"""Registered datasets of the embedded task, drawn on the fly."""
from typing import Any, Dict, List, Sequence, Tuple, Union

import numpy as np
from mmpretrain.datasets import BaseDataset
from mmseg.datasets import ADE20KDataset, BaseSegDataset

from mmdavpt.registry import DATASETS
from .glyph_rendering import (ALPHABETS, LATIN_FACES, MULTISCRIPT_FACES,
                              alphabet_from, render_glyph, render_scene,
                              style_from)

#: Sets of faces by name.
FACES = {
    'multiscript': MULTISCRIPT_FACES,
    'latin_train': LATIN_FACES['train'],
    'latin_test': LATIN_FACES['test'],
}


def faces_from(faces: Union[str, Sequence[str]]) -> Tuple[str, ...]:
    """Return a named set of faces, or the given faces.

    Raises:
        ValueError: If the name is unknown or no face is given.
    """
    if isinstance(faces, str) and faces not in FACES or not len(faces):
        raise ValueError(f'glyph faces should be one of {sorted(FACES)} or '
                         f'a list of font names, but got {faces!r}')
    return FACES[faces] if isinstance(faces, str) else tuple(faces)


@DATASETS.register_module()
class GlyphDataset(BaseDataset):
    """Images of single characters for classification.

    Image ``i`` shows character ``i % K`` and depends on ``(seed, i)`` alone.

    Args:
        chars (str): A name out of ``ALPHABETS`` or the characters themselves;
            each is a class.
        faces (str | Sequence[str]): A name out of ``FACES`` or font names.
        num_images (int): The number of images.
        seed (int): Seed of the images. Defaults to 0.
        img_size (int): Height and width in pixels. Defaults to 48.
        style (str | dict): See :func:`style_from`. Defaults to 'clean'.
        **kwargs: Of :class:`mmpretrain.datasets.BaseDataset`.
    """

    def __init__(self,
                 chars: str,
                 faces: Union[str, Sequence[str]],
                 num_images: int,
                 seed: int = 0,
                 img_size: int = 48,
                 style: Union[str, dict] = 'clean',
                 pipeline: Sequence = (),
                 **kwargs) -> None:
        if num_images < 1:
            raise ValueError(
                f'num_images should be at least 1, but got {num_images}')
        self.chars = alphabet_from(chars)
        self.faces = faces_from(faces)
        self.num_images = num_images
        self.seed = seed
        self.size = (img_size, img_size)
        self.style = style_from(style)
        super().__init__(
            ann_file='',
            metainfo=dict(classes=tuple(self.chars)),
            pipeline=pipeline,
            **kwargs)

    def load_data_list(self) -> List[dict]:
        """List the labels; images are drawn when they are asked for."""
        return [
            dict(gt_label=index % len(self.chars), glyph_index=index)
            for index in range(self.num_images)
        ]

    def get_gt_labels(self):
        """Return all labels without drawing anything, with shape (n, )."""
        return np.array([
            super(GlyphDataset, self).get_data_info(i)['gt_label']
            for i in range(len(self))
        ])

    def get_data_info(self, idx: int) -> Dict[str, Any]:
        """Return the data info with the drawn image, uint8, BGR."""
        info = super().get_data_info(idx)
        info['img'] = render_glyph(self.chars[info['gt_label']], self.faces,
                                   (self.seed, info['glyph_index']), self.size,
                                   self.style)
        info['img_shape'] = info['ori_shape'] = self.size
        return info


#: Classes of the scenes: the paper comes first, as a background class.
SCENE_CLASSES = ('background', ) + tuple(ALPHABETS['latin_upper'])


def scene_palette(num_classes: int) -> List[List[int]]:
    """Return ``num_classes`` well separated RGB colours, the first light grey.

    Hues advance by the golden ratio, so that neighbours differ.
    """
    palette = [[225, 225, 225]]
    for k in range(num_classes - 1):
        hue, value = (k * 0.618034) % 1.0, (200, 150, 235)[k % 3]
        palette.append([
            int(value * min(max(abs((hue * 6 + shift) % 6 - 3) - 1, 0.1), 1))
            for shift in (0, 4, 2)
        ])
    return palette


SCENE_METAINFO = dict(
    classes=SCENE_CLASSES, palette=scene_palette(len(SCENE_CLASSES)))


@DATASETS.register_module()
class GlyphSceneDataset(BaseSegDataset):
    """Scenes of several characters with pixel labels, drawn on the fly.

    Scene ``i`` depends on ``(seed, i)`` alone. The annotation follows
    ADE20K's convention, so that ``reduce_zero_label`` applies.

    Args:
        faces (str | Sequence[str]): A name out of ``FACES`` or font names.
        num_images (int): The number of scenes.
        seed (int): Seed of the scenes. Defaults to 0.
        size (Tuple[int, int]): Height and width in pixels.
            Defaults to (96, 96).
        style (str | dict): See :func:`style_from`. Defaults to 'clean'.
        **kwargs: Of :class:`mmseg.datasets.BaseSegDataset`.
    """
    METAINFO = SCENE_METAINFO

    def __init__(self,
                 faces: Union[str, Sequence[str]],
                 num_images: int,
                 seed: int = 0,
                 size: Tuple[int, int] = (96, 96),
                 style: Union[str, dict] = 'clean',
                 **kwargs) -> None:
        if num_images < 1:
            raise ValueError(
                f'num_images should be at least 1, but got {num_images}')
        self.faces = faces_from(faces)
        self.num_images = num_images
        self.seed = seed
        self.size = tuple(size)
        self.style = style_from(style)
        super().__init__(reduce_zero_label=True, **kwargs)

    def load_data_list(self) -> List[dict]:
        """List the scenes; they are drawn when they are asked for."""
        return [
            dict(
                scene_index=index,
                img_path=f'scene_{index:06d}',
                reduce_zero_label=self.reduce_zero_label,
                label_map=self.label_map,
                seg_fields=[]) for index in range(self.num_images)
        ]

    def get_data_info(self, idx: int) -> Dict[str, Any]:
        """Return the data info with the scene and its annotation drawn."""
        info = super().get_data_info(idx)
        info['img'], annotation = render_scene(
            ''.join(SCENE_CLASSES[1:]), self.faces,
            (self.seed, info['scene_index']), self.size, self.style)
        # 0 (nothing) becomes 255, all others move down by one, as in
        # `LoadAnnotations(reduce_zero_label=True)`.
        info['gt_seg_map'] = annotation - np.uint8(1)
        info['seg_fields'].append('gt_seg_map')
        info['img_shape'] = info['ori_shape'] = self.size
        return info


@DATASETS.register_module()
class GlyphADE20KDataset(ADE20KDataset):
    """The stock ADE20K reader with the class names of the glyph scenes."""
    METAINFO = SCENE_METAINFO
