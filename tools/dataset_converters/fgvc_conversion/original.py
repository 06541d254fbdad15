"""Content of an original download, and the error for a missing file."""

from dataclasses import dataclass, field

from mmdavpt.errors import UsageError


@dataclass(frozen=True)
class Original:
    """Lists of an original download.

    Attributes:
        train (dict[str, int]): Class ids of the training images by path, in
            the order of the download.
        test (dict[str, int]): Class ids of the test images.
        val (dict[str, int], optional): Class ids of the official validation
            images. Defaults to None: there are none.
        image_dir (str): Folder of the paths, relative to the download.
            Defaults to ''.
        class_names (dict[int, str]): Names by class id. Defaults to {}.
    """

    train: dict[str, int]
    test: dict[str, int]
    val: dict[str, int] | None = None
    image_dir: str = ''
    class_names: dict[int, str] = field(default_factory=dict)


def missing_file(folder: str, name: str) -> UsageError:
    """Return the error for a missing file of a download.

    Args:
        folder (str): Folder of the download.
        name (str): The file, or alternatives, relative to it.
    """
    return UsageError(
        f'{folder} has no {name}; give the folder that the original archives '
        'were unpacked to (docs/data.md shows its files)'
    )
