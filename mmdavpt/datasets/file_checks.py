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
        concerns (Callable): Whether a file has the defect, from its record
            and the files of its dataset.
        sentence (str): The sentence, with ``{files}`` for the list of files,
            ``{first}`` for the first record and ``{more}``, as ' (2 more)'.
    """

    kind: str
    concerns: Callable[[FileRecord, SampleFiles], object]
    sentence: str


def _loses_range(record: FileRecord) -> bool:
    """Return whether loading clips more than 8 bits, or makes them black."""
    wide = record.bits > 8 and record.shape
    return bool(wide and (record.clipped or record.high < DARK))


ERRORS_OF_FILES = (
    FileCheck(
        'broken_files',
        lambda r, _: r.defect,
        '{first.path} {first.defect}{more}; copy broken files again, or leave '
        'them out',
    ),
)
ERRORS_OF_LABELS = (
    FileCheck(
        'rejected_labels', lambda r, _: r.rejected, '{first.rejected}{more}'
    ),
    FileCheck(
        'color_labels',
        lambda r, _: len(r.shape) > 2,
        '{files} should have one number per pixel, the class, but are loaded '
        'with the shape {first.shape}; use mmdavpt.LoadMasks, with color_map '
        'if the colors are the classes',
    ),
    FileCheck(
        'wide_labels',
        lambda r, files: (
            len(r.shape) == 2 and r.stored_high > 255 and not files.maps_values
        ),
        'loading cuts the labels of {files} to 8 bits, but the first has the '
        'value {first.stored_high:g}; map them with value_map of '
        'mmdavpt.LoadMasks',
    ),
    FileCheck(
        'lossy_labels',
        lambda r, _: r.format in ('JPEG', 'MPO'),
        'JPEG changes the labels of {files} at borders; save the originals '
        'as PNG',
    ),
    FileCheck(
        'label_orientation',
        lambda r, files: r.orientation != 1 and not files.maps_values,
        'loading ignores the orientation tag of {files}; use '
        'mmdavpt.LoadMasks, which applies it, as images do',
    ),
)
ERRORS_OF_IMAGES = (
    FileCheck(
        'lost_range',
        lambda r, _: _loses_range(r),
        'loading {files} destroys them: values of {first.bits} bits up to '
        '{first.stored_high:g} become {first.high:g} or less; scale them to '
        '8 bits',
    ),
)
WARNINGS_OF_IMAGES = (
    FileCheck(
        'bit_depth',
        lambda r, _: (
            r.bits > 8
            and r.shape
            and r.high < max(r.stored_high, 256)
            and not _loses_range(r)
        ),
        'loading keeps the upper 8 of {first.bits} bits of {files}; scale '
        'them yourself if the lower bits matter',
    ),
    FileCheck(
        'transparency',
        lambda r, _: r.transparent and r.shape[2:] != (4,),
        'loading drops the transparency of {files}, so hidden colors become '
        'visible; save them on a background',
    ),
    FileCheck(
        'converted_colors',
        lambda r, _: r.mode and r.bits == 8 and r.mode not in PLAIN_MODES,
        'loading converts {files} from {first.mode} to RGB without a color '
        'profile; save them as RGB',
    ),
    FileCheck(
        'smaller_than_crop',
        lambda r, files: r.is_smaller_than(files.crop),
        'the crop is larger than {files} and is padded or fails; lower the '
        'crop, or resize before it',
    ),
    FileCheck(
        'orientation',
        # Another turn changes the size, so a wrong label does not fit.
        lambda r, files: (
            files.labels and r.orientation > 1 and not r.turns_sides
        ),
        'loading turns {files} by their orientation tag; check that their '
        'labels fit the turned images',
    ),
    FileCheck(
        'dropped_frames',
        # The further images of an MPO are previews of a camera.
        lambda r, _: r.frames > 1 and r.format != 'MPO',
        'loading keeps only the first frame or page of {files}; save the '
        'others as files if they matter',
    ),
)

#: Severity, the kind of file, and its checks.
FILE_CHECKS = (
    ('error', 'file', ERRORS_OF_FILES),
    ('error', 'label file', ERRORS_OF_LABELS),
    ('error', 'image', ERRORS_OF_IMAGES),
    ('warning', 'image', WARNINGS_OF_IMAGES),
)
