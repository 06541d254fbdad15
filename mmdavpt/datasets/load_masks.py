"""Load masks of any kind of pixels as the classes of pixels.

Masks may hold gray levels instead of classes, for which a map is suggested.
"""

import io
from collections.abc import Iterable, Mapping, Sequence

import mmengine.fileio as fileio
import numpy as np
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image, ImageOps

from mmdavpt.errors import UsageError, first_few
from mmdavpt.registry import TRANSFORMS

#: The label of pixels that losses and metrics leave out.
IGNORED = 255
#: Values at least this far apart are gray levels that people can tell apart.
#: Closer ones are class numbers, some of which do not occur, or the noise of
#: a JPEG.
GRAY_STEP = 10
#: Makes one number of red, green and blue.
PACK = np.array([1 << 16, 1 << 8, 1], np.int32)


@TRANSFORMS.register_module()
class LoadMasks(LoadAnnotations):
    """Load a mask, and map its values or colors to classes.

    Reads masks with one value per pixel: gray, of 1, 8 or 16 bits, indexed
    (the index counts, not the color), or RGB with equal channels. Colors are
    read with ``color_map`` only. A map is complete: a value or color that it
    lacks is an error, so that no pixel gets a class, or is ignored, by
    accident. Files are decoded by Pillow, since OpenCV turns indices into
    colors. An orientation tag is applied, as it is to images.

    ``reduce_zero_label`` and the classes of the dataset are applied after the
    map, as in :class:`mmseg.datasets.LoadAnnotations`.

    Args:
        value_map (dict[int, int], optional): Each value in the files to its
            class, or to 255 for ignored pixels, such as {0: 0, 255: 1}.
            Defaults to None: the values are the classes.
        color_map (dict[tuple, int] | Sequence[tuple], optional): Each color
            (red, green, blue) to its class, or to 255; or the colors in the
            order of the classes, such as a palette. The colors of indexed
            masks are looked up too. Defaults to None.
        backend_args (dict, optional): Arguments of the file backend.
            Defaults to None.

    Raises:
        UsageError: If a map is malformed, both are given, a mask is not
            readable as above or has another size than its image, or its
            value or color is not in the map.
    """

    def __init__(
        self,
        value_map: Mapping[int, int] | None = None,
        color_map: Mapping[Sequence[int], int]
        | Sequence[Sequence[int]]
        | None = None,
        backend_args: dict | None = None,
    ) -> None:
        super().__init__(backend_args=backend_args)
        if value_map is not None and color_map is not None:
            raise UsageError('set value_map or color_map, not both')
        self.value_map, self.color_map = value_map, color_map
        self._keys = self._classes = None
        for name in ('value_map', 'color_map'):
            if (given := getattr(self, name)) is not None:
                self._keys, self._classes = checked_map(name, given)

    def _load_seg_map(self, results: dict) -> None:
        path = results['seg_map_path']
        content = fileio.get(path, backend_args=self.backend_args)
        with Image.open(io.BytesIO(content)) as image:
            values = read_values(image, path, self.color_map is not None)
        size = results.get('ori_shape', values.shape)
        if values.shape != tuple(size):
            raise UsageError(
                f'{path} has {values.shape[1]}×{values.shape[0]} pixels, but '
                f'its image {results.get("img_path")} has {size[1]}×{size[0]}'
            )
        labels = self._map(values, path)
        if results['reduce_zero_label']:
            labels = np.where(labels % IGNORED, labels - 1, IGNORED)
        if results.get('label_map') is not None:
            table = np.arange(IGNORED + 1)
            table[[*results['label_map']]] = [*results['label_map'].values()]
            labels = table[labels]
        results['gt_seg_map'] = labels.astype(np.uint8)
        results['seg_fields'].append('gt_seg_map')

    def _map(self, values: np.ndarray, path: str) -> np.ndarray:
        """Return the classes of values, or of packed colors."""
        if self._keys is None:
            wrong = values[(values < 0) | (values > IGNORED)]
            if wrong.size:
                raise UsageError(
                    f'{path} has the value {wrong[0]}, but classes are from 0 '
                    f'to {IGNORED - 1}, and {IGNORED} is ignored; map its '
                    'values with LoadMasks(value_map={...})'
                )
            return values
        index = np.searchsorted(self._keys[1:], values, side='right')
        unknown = self._keys[index] != values
        if unknown.any():
            lacking, name = np.unique(values[unknown]).tolist(), 'value_map'
            if self.color_map is not None:
                name = 'color_map'
                lacking = [(c >> 16, c >> 8 & 255, c & 255) for c in lacking]
            raise UsageError(
                f'{path} has {first_few(lacking)}, which {name} lacks; add '
                f'{lacking[0]}: CLASS, or {lacking[0]}: {IGNORED} to ignore '
                'these pixels'
            )
        return self._classes[index]


def read_values(image: Image.Image, path: str, colors: bool) -> np.ndarray:
    """Return the values of a mask's pixels, or their colors as numbers.

    Args:
        image (Image.Image): The mask.
        path (str): Its file, for messages.
        colors (bool): Whether to read colors, packed by ``PACK``.

    Returns:
        np.ndarray: Integers, (H, W).

    Raises:
        UsageError: If the mask is a JPEG or has several frames, transparent
            pixels, fractions, or colors that were not expected.
    """
    if getattr(image, 'n_frames', 1) > 1:
        raise UsageError(f'{path} should be one mask, but has several frames')
    if image.format in ('JPEG', 'MPO'):
        raise UsageError(
            f'{path} is a JPEG, whose values are not exact; make it a PNG, '
            'with a threshold if it has two classes'
        )
    # Pillow spreads gray values of 2 or 4 bits over 0 to 255.
    spread = image.tile[0][3] if image.tile else ''
    step = {'L;2': 85, 'L;4': 17}.get(spread, 1)
    image = ImageOps.exif_transpose(image)
    bands = image.getbands()
    if bands[-1] == 'A' and image.getextrema()[-1][0] < 255:
        advice = 'save it without transparency'
        raise UsageError(f'{path} has transparent pixels; {advice}')
    if colors:
        if image.mode[0] in 'IF':
            raise UsageError(
                f'{path} has values of more than 8 bits, not the colors that '
                'color_map expects; use value_map'
            )
        return np.asarray(image.convert('RGB'), np.int32) @ PACK
    values = np.asarray(image) if step == 1 else np.asarray(image) // step
    if values.ndim == 3:
        values = values[..., : len(bands) - (bands[-1] == 'A')]
        if (values != values[..., :1]).any():
            raise UsageError(
                f'{path} has colors ({image.mode}), not one value per pixel; '
                'name the class of each with LoadMasks(color_map={...}), or '
                'next to a folder in classes.json, such as '
                '{"road": [128, 64, 128], "sky": [70, 130, 180]}'
            )
        values = values[..., 0]
    if values.dtype.kind == 'f' and (values % 1).any():
        raise UsageError(f'{path} should have integers, but has fractions')
    return values.astype(np.int32 if values.dtype.kind != 'b' else np.uint8)


def checked_map(
    name: str, given: Mapping | Sequence
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values or packed colors of a map, sorted, and their classes.

    Args:
        name (str): 'value_map' or 'color_map'.
        given (Mapping | Sequence): The map, or the colors of classes 0 to K.

    Raises:
        UsageError: If the map is malformed.
    """
    colors = name == 'color_map'
    if not isinstance(given, Mapping):
        listed, given = given, {tuple(c): k for k, c in enumerate(given)}
        if len(given) < len(listed):
            raise UsageError(f'color_map has a color twice: {listed}')
    try:
        keys, classes = np.array([*given]), np.array([*given.values()])
        tops = (keys, 255 if colors else 65535), (classes, IGNORED)
        valid = keys.shape == (len(given), 3)[: 1 + colors] and all(
            array.dtype.kind in 'iu' and 0 <= array.min() <= array.max() <= top
            for array, top in tops
        )
    except ValueError:  # of colors with different lengths
        valid = False
    if not valid:
        what = 'colors (red, green, blue)' if colors else 'values'
        raise UsageError(
            f'{name} should map {what} to classes from 0 to {IGNORED}, but is '
            f'{given}'
        )
    keys = keys @ PACK if colors else keys
    order = np.argsort(keys)
    return keys[order], classes[order]


def suggest_value_map(
    values: Iterable[int], num_classes: int | None = None
) -> dict[int, int] | None:
    """Suggest a ``value_map`` for masks whose values are not classes.

    The suggestion numbers the values in ascending order, so no two of them
    become one class. It is for a person to confirm, or for a config that
    shows it.

    ====================  ===========  =====================================
    values                num_classes  suggestion
    ====================  ===========  =====================================
    0, 255                None or 2    {0: 0, 255: 1}
    0, 127, 255           None or 3    {0: 0, 127: 1, 255: 2}
    1, 2, 3               3            {1: 0, 2: 1, 3: 2}
    1, 2, 255             2            {1: 0, 2: 1, 255: 255}
    0, 7, 15              3            {0: 0, 7: 1, 15: 2}
    0, 7, 15              None, 21     None: classes that do not all occur
    0, 1, 2, 3, 77        5            None: 77 may be a mistake
    0, 1, 255             any          None: two classes, and ignored pixels
    0, 1, 2, 255          4            None: 255 may be ignored, or class 3
    0, 127, 255           2            None: 255 may be ignored, or a class
    1, 255                any          None: 255 may be ignored, or a class
    1, 2, 3               None         None: class 0 may not occur
    0, 255                3            None: a class may not occur
    255                   any          None: there is nothing to map
    ====================  ===========  =====================================

    Args:
        values (Iterable[int]): The values that occur in all masks, not in a
            single one.
        num_classes (int, optional): The number of classes ``K`` that the
            user declares. Defaults to None: unknown.

    Returns:
        dict[int, int] | None: Each value to its class, or to 255 for ignored
        pixels; None if the values may be classes, or if there are several
        ways to read them.
    """
    values = sorted({int(value) for value in values})
    labels = [value for value in values if value != IGNORED]
    if len(values) < 2 or not labels:
        return None
    ascending = {value: k for k, value in enumerate(values)}
    if labels == [*range(labels[0], labels[0] + len(labels))] and labels[1:]:
        # Consecutive numbers, so 255 is not another one of them.
        if labels[0] == 0 or len(labels) != num_classes:
            return None
        return ascending | {v: IGNORED for v in values if v == IGNORED}
    if num_classes not in (None, len(values)):
        return None
    step = min(b - a for a, b in zip(values, values[1:], strict=False))
    levels = values[0] == 0 and step >= GRAY_STEP
    # Next to values that are classes already, others may be mistakes.
    sure = num_classes is not None and not any(
        0 < value < num_classes or value == IGNORED for value in values
    )
    return ascending if levels or sure else None
