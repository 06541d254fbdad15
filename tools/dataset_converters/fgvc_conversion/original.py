"""What an original download says, and the error when a file of it lacks."""

from dataclasses import dataclass, field

from mmdavpt.errors import UsageError


@dataclass(frozen=True)
class Original:
    """An original download: what is trained on, and what is tested on.

    Attributes:
        train (dict[str, int]): Class ids by image path, in the order of the
            download.
        test (dict[str, int]): The same of the test images.
        val (dict[str, int], optional): The same of the official validation
            images. Defaults to None: there are none.
        image_dir (str): The folder that the paths are relative to, relative
            to the download's own. Defaults to '': that is it.
        class_names (dict[int, str]): Names by class id. Defaults to {}.
    """

    train: dict[str, int]
    test: dict[str, int]
    val: dict[str, int] | None = None
    image_dir: str = ''
    class_names: dict[int, str] = field(default_factory=dict)


def missing_file(folder: str, name: str) -> UsageError:
    """Return the error of a file that a download should have.

    Args:
        folder (str): The folder of the download.
        name (str): The file, or several, relative to it.
    """
    return UsageError(
        f'{folder} has no {name}; give the folder that the original archives '
        'were unpacked to (docs/data.md shows its files)'
    )
