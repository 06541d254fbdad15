"""Checks of single files: broken ones, and what loading loses."""

from .file_record import FileRecord
from .load_masks import LoadMasks

#: An image whose brightest value is lower is nearly black.
DARK = 32


def _loses_range(record: FileRecord) -> bool:
    """Return whether loading clips more than 8 bits, or makes them black."""
    wide = record.bits > 8 and record.shape
    return bool(wide and (record.clipped or record.high < DARK))


#: Checks of files: severity, which files ('file' are all), kind, whether a
#: file has the defect (from its record and its :class:`.CheckedDataset`), and
#: the sentence, with ``{files}`` for the list of files, ``{first}`` for the
#: first record and ``{more}``, as ' (2 more)'.
FILE_CHECKS = (
    (
        *('error', 'file', 'broken_files', lambda r, _: r.defect),
        '{first.path} {first.defect}{more}; copy broken files again, or leave '
        'them out',
    ),
    (
        *('error', 'label file', 'rejected_labels', lambda r, _: r.rejected),
        '{first.rejected}{more}',
    ),
    (
        *('error', 'label file', 'color_labels'),
        lambda r, _: len(r.shape) > 2,
        '{files} should have one number per pixel, the class, but are loaded '
        'with the shape {first.shape}; use mmdavpt.LoadMasks, with color_map '
        'if the colors are the classes',
    ),
    (
        *('error', 'label file', 'wide_labels'),
        lambda r, data: (
            len(r.shape) == 2
            and r.stored_high > 255
            and not isinstance(data.load_labels, LoadMasks)
        ),
        'loading cuts the labels of {files} to 8 bits, but the first has the '
        'value {first.stored_high:g}; map them with value_map of '
        'mmdavpt.LoadMasks',
    ),
    (
        *('error', 'label file', 'lossy_labels'),
        lambda r, _: r.format in ('JPEG', 'MPO'),
        'JPEG changes the labels of {files} at borders; save the originals '
        'as PNG',
    ),
    (
        *('error', 'image', 'lost_range', lambda r, _: _loses_range(r)),
        'loading {files} destroys them: values of {first.bits} bits up to '
        '{first.stored_high:g} become {first.high:g} or less; scale them to '
        '8 bits',
    ),
    (
        *('warning', 'image', 'orientation'),
        # Another turn changes the size, so a wrong label does not fit.
        lambda r, data: (
            data.labels
            and r.orientation > 1
            and (r.orientation < 5 or len({*r.stored_size}) == 1)
        ),
        'loading turns {files} by their orientation tag; check that their '
        'labels fit the turned images',
    ),
)
