"""Checks of single files: broken ones, and what loading drops or changes."""

from collections.abc import Callable
from typing import NamedTuple

from .file_record import FileRecord
from .sample_files import SampleFiles

#: Modes whose pixels loading copies or drops, but does not convert.
PLAIN_MODES = ('1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'I', 'F')

#: An image whose brightest value is lower is nearly black.
DARK = 32


class FileCheck(NamedTuple):
    """A defect of single files.

    Args:
        kind (str): Identifier of the defect.
        severity (str): 'error' if a training or a test would fail or give a
            wrong number, else 'warning'.
        where (str): 'image', 'label file' or 'file' for both.
        concerns (Callable): Whether a file has the defect, from its record
            and the files of its dataset.
        sentence (str): The sentence, with ``{files}`` for the list of files,
            ``{first}`` for the first record and ``{more}``, as ' (2 more)'.
    """

    kind: str
    severity: str
    where: str
    concerns: Callable[[FileRecord, SampleFiles], object]
    sentence: str


FILE_CHECKS = (
    FileCheck(
        'broken_files',
        'error',
        'file',
        lambda r, _: r.defect,
        '{first.path} {first.defect}{more}; copy broken files again, or leave '
        'them out',
    ),
    FileCheck(
        'rejected_labels',
        'error',
        'label file',
        lambda r, _: r.rejected,
        '{first.rejected}{more}',
    ),
    FileCheck(
        'color_labels',
        'error',
        'label file',
        lambda r, _: len(r.shape) > 2,
        '{files} should have one number per pixel, the class, but are loaded '
        'with the shape {first.shape}; use mmdavpt.LoadMasks, with color_map '
        'if the colors are the classes: {first.colors}',
    ),
    FileCheck(
        'wide_labels',
        'error',
        'label file',
        lambda r, files: (
            r.stored_high > 255 >= r.high
            and len(r.shape) == 2
            and not files.maps_values
        ),
        'loading cuts the labels of {files} to 8 bits, but the first has the '
        'value {first.stored_high:g}; map them with value_map of '
        'mmdavpt.LoadMasks',
    ),
    FileCheck(
        'lossy_labels',
        'error',
        'label file',
        lambda r, _: r.format in ('JPEG', 'MPO'),
        'JPEG changes the labels of {files} at borders; save the originals '
        'as PNG',
    ),
    FileCheck(
        'lost_range',
        'error',
        'image',
        lambda r, _: r.bits > 8 and r.shape and (r.clipped or r.high < DARK),
        'loading {files} destroys them: values of {first.bits} bits up to '
        '{first.stored_high:g} become {first.low:g} to {first.high:g}; scale '
        'them to 8 bits',
    ),
    FileCheck(
        'bit_depth',
        'warning',
        'image',
        lambda r, _: (
            r.bits > 8
            and not r.clipped
            and DARK <= r.high < max(r.stored_high, 256)
        ),
        'loading keeps the upper 8 of {first.bits} bits of {files}; scale '
        'them yourself if the lower bits matter',
    ),
    FileCheck(
        'transparency',
        'warning',
        'image',
        lambda r, _: r.transparent and r.shape[2:] != (4,),
        'loading drops the transparency of {files}, so hidden colors become '
        'visible; save them on a background',
    ),
    FileCheck(
        'converted_colors',
        'warning',
        'image',
        lambda r, _: r.mode and r.bits == 8 and r.mode not in PLAIN_MODES,
        'loading converts {files} from {first.mode} to RGB without a color '
        'profile; save them as RGB',
    ),
    FileCheck(
        'dropped_frames',
        'warning',
        'file',
        # The further images of an MPO are previews of a camera.
        lambda r, _: r.frames > 1 and r.format != 'MPO',
        'loading keeps only the first frame or page of {files}; save the '
        'others as files if they matter',
    ),
    FileCheck(
        'constant_images',
        'warning',
        'image',
        lambda r, _: r.shape and r.low == r.high,
        'all pixels of {files} have one value; check how they were made',
    ),
    FileCheck(
        'smaller_than_crop',
        'warning',
        'image',
        lambda r, files: (
            r.loaded_size
            and any(
                a < b for a, b in zip(r.loaded_size, files.crop, strict=True)
            )
        ),
        'the crop is larger than {files} and is padded or fails; lower the '
        'crop, or resize before it',
    ),
    FileCheck(
        'orientation',
        'warning',
        'image',
        lambda r, files: (
            files.labels
            and r.orientation != 1
            # Others are turned on their sides, so a wrong label does not fit.
            and (r.orientation < 5 or len({*r.stored_size}) == 1)
        ),
        'loading turns {files} by their orientation tag; check that their '
        'labels fit the turned images',
    ),
    FileCheck(
        'label_orientation',
        'error',
        'label file',
        lambda r, files: r.orientation != 1 and not files.maps_values,
        'loading ignores the orientation tag of {files}; use '
        'mmdavpt.LoadMasks, which applies it, as images do',
    ),
    FileCheck(
        'orientation_ignored',
        'warning',
        'image',
        lambda r, _: (
            r.orientation > 4
            and r.format != 'TIFF'  # Pillow gives its turned size
            and r.shape[1::-1] == r.stored_size
            and len({*r.stored_size}) == 2
        ),
        'loading ignores the orientation tag of {files}; use '
        "color_type='color' and imdecode_backend='cv2'",
    ),
)
