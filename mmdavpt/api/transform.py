"""Load images and frames of videos, and resize them by a config."""

import os
from collections.abc import Iterator

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import Compose
from PIL import Image, ImageOps
from torch import Tensor

from mmdavpt.datasets.image_files import UNDECODABLE, media_type
from mmdavpt.errors import UsageError, prefix_errors
from mmdavpt.registry import TRANSFORMS

#: A file, an RGB array of type uint8 and shape (H, W, 3), or a PIL image.
Picture = str | os.PathLike | np.ndarray | Image.Image
#: Types of values that JSON has.
PLAIN = str | int | float | tuple


class ImageTransform:
    """A test pipeline without labels.

    Args:
        pipeline (list[dict]): The configs of its steps, in
            the scope of their library.

    Attributes:
        sample (Compose): From what :meth:`load` returns to the input and the
            data sample.
    """

    def __init__(self, pipeline: list[dict]) -> None:
        # Sizes must be tuples, which JSON does not have.
        arguments = [
            {k: tuple(v) if isinstance(v, list) else v for k, v in s.items()}
            for s in pipeline
        ]
        steps = [TRANSFORMS.build(step) for step in arguments]
        loaders = [s for s in steps if isinstance(s, LoadImageFromFile)]
        self._loader = (loaders or [LoadImageFromFile()])[0]
        self.sample = Compose([step for step in steps if step not in loaders])

    def __call__(self, image: Picture) -> Tensor:
        """Return an image as a model takes it in a loop.

        Args:
            image (Picture): The image.

        Returns:
            Tensor: RGB from 0 to 255, uint8, (3, h, w), not normalized.
        """
        return self.sample(self.load(image))['inputs'].flip(0)

    def describe(self) -> list[dict]:
        """Return the steps between loading and packing, such as a resize.

        Returns:
            list[dict]: ``type``, and the values of plain arguments.
        """
        return [
            {k: v for k, v in vars(step).items() if isinstance(v, PLAIN)}
            | dict(type=type(step).__name__)
            for step in self.sample.transforms
            if not type(step).__name__.startswith('Pack')
        ]

    def load(self, image: Picture) -> dict:
        """Return ``img``, BGR, (H, W, 3), and its shapes.

        Args:
            image (Picture): The image.

        Raises:
            UsageError: If it cannot be read, or is not RGB.
        """
        if isinstance(image, str | os.PathLike):
            with prefix_errors(f'{image} cannot be read', *UNDECODABLE):
                return self._loader(dict(img_path=os.fspath(image)))
        if isinstance(image, Image.Image):
            if image.mode[0] in 'IF':  # PIL would cut values at 255
                raise UsageError(f'a PIL image of mode {image.mode} is no RGB')
            image = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
        if image.shape[2:] != (3,) or image.dtype != np.uint8:
            raise UsageError('an array should be RGB, uint8, (H, W, 3)')
        pixels, size = np.ascontiguousarray(image[..., ::-1]), image.shape[:2]
        return dict(img=pixels, img_shape=size, ori_shape=size)


def frames_of(image: Picture, every: int = 1) -> Iterator[tuple[str, Picture]]:
    """Yield the frames of a video; of anything else, the image itself.

    Args:
        image (Picture): A file of a video, or an image.
        every (int): Which frames to read: 10 is 0, 10, 20, ... Defaults to 1.

    Yields:
        tuple[str, Picture]: What a name ends in, such as '#000012', the
        number of the frame from 0, or '' of an image; and the image.

    Raises:
        UsageError: If it is a video without a frame that can be decoded, or
            after the frames before one that cannot.
    """
    is_file = isinstance(image, str | os.PathLike)
    if not is_file or media_type(image) != 'video':
        yield '', image
        return
    video = cv2.VideoCapture(os.fspath(image))
    number = 0
    while video.grab():
        if number % every == 0:
            decoded, frame = video.retrieve()
            if not decoded:
                raise UsageError(f'{image} cannot be read at frame {number}')
            yield f'#{number:06d}', frame[..., ::-1]
        number += 1
    if not number:
        raise UsageError(f'{image} cannot be read: OpenCV decodes no frame')
    expected = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    if number < 0.9 * expected:  # headers are often a few frames off
        raise UsageError(f'{image} ends at frame {number} of {expected}')
