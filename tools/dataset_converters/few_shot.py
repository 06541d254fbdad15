"""Draw a small training set from a folder of images with a folder per class.

    python tools/dataset_converters/few_shot.py data/birds100 data/birds25 \
        --classes 25 --images 5 10 20 --val 10

SOURCE has train/CLASS/IMAGE and test/CLASS/IMAGE. OUT gets links to the
images in val/ (``--val`` training images of each class), train/ (the largest
number of ``--images``, of the others) and test/ (all of the classes); smaller
numbers, which are parts of it, are in train_5/, train_10/. Classes with fewer
images are left out.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def draw(
    names: list[str], number: int, rng: 'np.random.Generator'
) -> list[str]:
    """Return names in random order, at most ``number``."""
    return [sorted(names)[i] for i in rng.permutation(len(names))[:number]]


def link(images: list[Path], folder: Path) -> None:
    """Link images into a folder."""
    folder.mkdir(parents=True)
    for image in images:
        (folder / image.name).symlink_to(image.resolve())


def main(argv: list[str] | None = None) -> None:
    """Draw classes and images, and link them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('source', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument('--classes', type=int, default=50)
    parser.add_argument('--images', type=int, nargs='+', default=[10])
    parser.add_argument('--val', type=int, default=10)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args(argv)
    if args.out.exists():
        sys.exit(f'{args.out} exists; choose another folder, or delete it')
    train = args.source / 'train'
    if not train.is_dir() or not (args.source / 'test').is_dir():
        sys.exit(f'{args.source} should have the folders train and test')
    import numpy as np  # here, for a quick --help

    rng = np.random.default_rng(args.seed)
    found = {
        folder.name: sorted(path.name for path in folder.iterdir())
        for folder in train.iterdir()
    }
    needed = max(args.images) + args.val
    enough = [name for name, images in found.items() if len(images) >= needed]
    if len(enough) < args.classes:
        sys.exit(
            f'{len(enough)} classes of {train} have {needed} images, fewer '
            f'than --classes {args.classes}; lower it, --images or --val'
        )
    for name in sorted(draw(enough, args.classes, rng)):
        order = draw(found[name], len(found[name]), rng)
        val, rest = order[: args.val], order[args.val :]
        chosen = {f'train_{number}': rest[:number] for number in args.images}
        chosen['train'] = chosen.pop(f'train_{max(args.images)}')
        for split, images in {**chosen, 'val': val}.items():
            folder = args.out / split / name
            link([train / name / image for image in images], folder)
        test = sorted((args.source / 'test' / name).iterdir())
        link(test, args.out / 'test' / name)


if __name__ == '__main__':
    main()
