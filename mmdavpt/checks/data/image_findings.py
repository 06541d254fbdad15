"""Findings about image files: broken ones, and what loading changes."""

from collections import Counter
from collections.abc import Iterator

from .dataset_records import DatasetRecords, listed
from .finding import Finding

#: Modes whose pixels loading copies or drops, but does not convert.
PLAIN_MODES = ('1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'I', 'F')

#: An image whose brightest value is lower is nearly black.
DARK = 32


def broken_files(data: DatasetRecords) -> Iterator[Finding]:
    """Find files that are missing or cannot be decoded."""
    broken = [r for r in (*data.images, *data.labels) if r.defect]
    broken = list({record.path: record for record in broken}.values())
    if broken:
        more = f' ({len(broken) - 1} more)' if broken[1:] else ''
        yield data.finding(
            'error',
            'broken_files',
            f'{broken[0].path} {broken[0].defect}{more}; copy broken files '
            'again, or leave them out',
            broken,
        )


def lost_range(data: DatasetRecords) -> Iterator[Finding]:
    """Find images of more than 8 bits whose range loading cuts."""
    wide = [r for r in data.decoded if r.bits > 8 and r.high != r.stored_high]
    lost = [r for r in wide if r.clipped or r.high < DARK]
    if lost:
        how = 'clipped at 255' if lost[0].clipped else 'nearly black'
        yield data.finding(
            'error',
            'lost_range',
            f'loading leaves {listed(lost)} {how}: their values up to '
            f'{lost[0].stored_high:g} are read as 0 to {lost[0].high:g}; '
            'scale them to 8 bits',
            lost,
        )
    elif wide:
        yield data.finding(
            'warning',
            'bit_depth',
            f'loading keeps the upper 8 of {wide[0].bits} bits of '
            f'{listed(wide)}; scale them yourself if the lower bits matter',
            wide,
        )


def transparency(data: DatasetRecords) -> Iterator[Finding]:
    """Find images whose transparent pixels become visible."""
    found = [r for r in data.decoded if r.transparent and r.shape[-1] != 4]
    if found:
        yield data.finding(
            'warning',
            'transparency',
            f'loading drops the transparency of {listed(found)}, so hidden '
            'colors become visible; save them on a background',
            found,
        )


def converted_colors(data: DatasetRecords) -> Iterator[Finding]:
    """Find images in CMYK and other color spaces."""
    found = [
        r
        for r in data.images
        if r.mode and r.bits == 8 and r.mode not in PLAIN_MODES
    ]
    if found:
        modes = ', '.join(sorted({record.mode for record in found}))
        yield data.finding(
            'warning',
            'converted_colors',
            f'loading converts {listed(found)} from {modes} to RGB without '
            'a color profile; save them as RGB',
            found,
        )


def dropped_frames(data: DatasetRecords) -> Iterator[Finding]:
    """Find animations and files with several pages."""
    # The further images of an MPO are previews of a camera.
    found = [
        r
        for r in (*data.decoded, *data.decoded_labels)
        if r.frames > 1 and r.format != 'MPO'
    ]
    if found:
        yield data.finding(
            'warning',
            'dropped_frames',
            f'loading keeps the first frame or page of {listed(found, "file")}'
            '; save the others as files if they matter',
            found,
        )


def mixed_channels(data: DatasetRecords) -> Iterator[Finding]:
    """Find gray among color images, and 16 among 8 bits."""
    known = [r for r in data.images if r.mode]
    deep = [r for r in known if r.bits > 8]
    if 0 < len(deep) < len(known):
        yield data.finding(
            'warning',
            'mixed_bit_depth',
            f'{listed(deep)} of {len(known)} have more than 8 bits; check '
            'that all have the same brightness after loading',
            deep,
        )
    gray = [r for r in known if is_gray(r.mode)]
    if 0 < len(gray) < len(known):
        yield data.finding(
            'warning',
            'mixed_channels',
            f'{listed(gray)} of {len(known)} are gray and get three equal '
            'channels, the others have colors; check that both are meant',
            gray,
        )


def is_gray(mode: str) -> bool:
    """Return whether images of a mode have no color.

    Args:
        mode (str): Pillow's mode.
    """
    return mode[:1] in ('1', 'L', 'I', 'F') and mode != 'LAB'


def constant_images(data: DatasetRecords) -> Iterator[Finding]:
    """Find images of one value."""
    found = [r for r in data.decoded if r.low == r.high]
    if found:
        yield data.finding(
            'warning',
            'constant_images',
            f'all pixels of {listed(found)} have one value; check how they '
            'were made',
            found,
        )


def smaller_than_crop(data: DatasetRecords) -> Iterator[Finding]:
    """Find images that do not fill the crop."""
    width, height = data.crop or (0, 0)
    found = [
        r
        for r in data.images
        if (size := r.loaded_size) and (size[0] < width or size[1] < height)
    ]
    if found:
        yield data.finding(
            'warning',
            'smaller_than_crop',
            f'{listed(found)} are smaller than the crop of {width}×{height} '
            'pixels, so they are padded or fail; lower the crop, or resize '
            'before it',
            found,
        )


def orientation_tags(data: DatasetRecords) -> Iterator[Finding]:
    """Find orientation tags that turn an image, but not its labels."""
    tagged = [r for r in data.images if r.orientation != 1]
    ignored = [
        r
        for r in tagged
        if r.orientation > 4
        and r.stored_size[0] != r.stored_size[1]
        and r.shape[1::-1] == r.stored_size
        and r.format != 'TIFF'
    ]
    if ignored:
        yield data.finding(
            'warning',
            'orientation_ignored',
            f'loading ignores the orientation tag of {listed(ignored)}, so '
            "they lie on their sides; use color_type='color' and "
            "imdecode_backend='cv2'",
            ignored,
        )
    turned = [
        image
        for image, label in zip(data.images, data.labels, strict=False)
        if image.orientation != 1
        and label.path
        and (image.orientation < 5 or len(set(image.stored_size)) == 1)
    ]
    if turned:
        yield data.finding(
            'warning',
            'orientation',
            f'loading turns {listed(turned)} by their orientation tag, but '
            'not their labels; check that the labels fit the turned images',
            turned,
        )
    labels = [r for r in data.labels if r.orientation != 1]
    if labels and data.label_loader != 'LoadMasks':
        yield data.finding(
            'error',
            'label_orientation',
            'loading ignores the orientation tag of '
            f'{listed(labels, "label file")}; apply it and save them without',
            labels,
        )


def count_modes(data: DatasetRecords) -> Counter:
    """Return the number of images of each mode and bit depth.

    Args:
        data (DatasetRecords): The records.
    """
    return Counter(f'{r.mode}, {r.bits} bits' for r in data.images if r.mode)
