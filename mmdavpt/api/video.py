"""Read the frames of videos."""

import os
from collections.abc import Iterator

import cv2

from mmdavpt.datasets.image_files import media_type
from mmdavpt.errors import UsageError

from .transform import Picture


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
