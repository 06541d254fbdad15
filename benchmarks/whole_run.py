"""Where a whole run spends its time, from the first import to the last file.

``python benchmarks/whole_run.py`` draws a folder of glyphs and trains on it
as ``mmdavpt train FOLDER --weights checkpoints/vit-tiny_glyphs.pth`` does:
1,000 images, 20 epochs, DA-VPT. Each second of CPU time of the process counts
for one phase, so a busy machine changes the figures little. Images load in
the same process, or with ``--workers`` in others, which are not counted, and
neither is drawing the folder.
"""

import time

IMPORTED_FROM = time.process_time()

import argparse  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections import Counter  # noqa: E402
from collections.abc import Callable, Iterator, Sequence  # noqa: E402
from contextlib import ExitStack, contextmanager  # noqa: E402
from functools import wraps  # noqa: E402
from pathlib import Path  # noqa: E402
from unittest.mock import patch  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import cv2  # noqa: E402
from mmengine.model import BaseModel  # noqa: E402
from mmengine.runner import Runner, ValLoop  # noqa: E402
from torch.utils.data.dataloader import _BaseDataLoaderIter  # noqa: E402

from mmdavpt.checks import rehearsal  # noqa: E402
from mmdavpt.cli import common, folder_config, train  # noqa: E402
from mmdavpt.cli.options import parse_arguments  # noqa: E402
from mmdavpt.datasets.glyphs.dataset import GlyphDataset  # noqa: E402
from mmdavpt.engine import hooks  # noqa: E402
from mmdavpt.engine.runner import DAVPTRunner  # noqa: E402

IMPORTS = time.process_time() - IMPORTED_FROM
WEIGHTS = ROOT / 'checkpoints' / 'vit-tiny_glyphs.pth'
#: What counts as steps: forward, backward, optimizer, and their images.
STEPS = ('steps', 'loading')
#: Phases in which other phases may begin.
OPEN = ('rest of the loop', 'hooks and logging')
#: The functions of each phase: their owner and name.
FUNCTIONS = {
    'config': [(folder_config, 'write_config'), (common, 'load_config')],
    'checks': [(common, 'check_files')],
    'building': [(common, 'build_runner')],
    'rehearsal': [(rehearsal, 'rehearse')],
    'first pass': [
        (hooks.PromptMappingHook, 'before_train'),
        (hooks.PromptInitHook, 'before_train'),
    ],
    'loading': [(_BaseDataLoaderIter, '__next__')],
    'steps': [(BaseModel, 'train_step')],
    'hooks and logging': [(Runner, 'call_hook')],
    'saving': [(DAVPTRunner, 'save_checkpoint')],
    'validation': [(ValLoop, 'run')],
}


class Phases:
    """Attribute each second of a clock to one phase.

    Args:
        clock (Callable): Returns seconds. Defaults to the CPU time of this
            process.

    Attributes:
        seconds (Counter): Seconds of each phase.
    """

    def __init__(self, clock: Callable = time.process_time) -> None:
        self.clock, self.now = clock, OPEN[0]
        self.seconds = Counter()
        self.since = clock()

    def switch(self, name: str) -> str:
        """Begin a phase, and return the one that ends.

        Args:
            name (str): The phase.
        """
        before, now = self.now, self.clock()
        self.seconds[before] += now - self.since
        self.now, self.since = name, now
        return before

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count a block as a phase, unless a closed phase is active.

        Args:
            name (str): The phase.
        """
        if self.now not in OPEN:
            yield
            return
        before = self.switch(name)
        try:
            yield
        finally:
            self.switch(before)

    def wrapped(self, function: Callable, name: str) -> Callable:
        """Return a function whose calls count as a phase.

        Args:
            function (Callable): The function.
            name (str): The phase.
        """

        @wraps(function)
        def call(*args, **kwargs):
            with self.phase(name):
                return function(*args, **kwargs)

        return call


def write_folder(folder: Path, images: int, classes: int) -> None:
    """Write glyphs as ``folder/{train,val}/CLASS/IMAGE``.

    Args:
        folder (Path): The folder.
        images (int): Number of training images; a quarter validates.
        classes (int): Number of classes.
    """
    for seed, (split, number) in enumerate(
        dict(train=images, val=max(images // 4, classes)).items()
    ):
        glyphs = GlyphDataset(
            'latin', 'latin_train', 62 * number, seed, style='inverted'
        )
        for i in range(number):
            index = i // classes * 62 + i % classes
            info = glyphs.get_data_info(index)
            path = folder / split / f'class_{info["gt_label"]:02}'
            path.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path / f'{i}.png'), info['img'])


def measure(args: argparse.Namespace, folder: Path) -> Counter:
    """Return the CPU seconds of each phase of a run.

    Args:
        args (argparse.Namespace): The command line.
        folder (Path): An empty folder.
    """
    write_folder(folder / 'glyphs', args.images, args.classes)
    command = [str(folder / 'glyphs'), '--weights', str(WEIGHTS)]
    command += ['--arch', 'dict(num_heads=4)', '--size', '48']
    command += ['--epochs', str(args.epochs)]
    command += ['--method', args.method, '--work-dir', str(folder / 'run')]
    command += ['--cfg-options', f'num_workers={args.workers}']
    parsed = parse_arguments(train.add_arguments, command)
    phases = Phases()
    with ExitStack() as patches:
        for name, functions in FUNCTIONS.items():
            for owner, key in functions:
                call = phases.wrapped(getattr(owner, key), name)
                patches.enter_context(patch.object(owner, key, call))
        train.train(train.load(parsed), parsed)
    phases.switch(OPEN[0])
    return phases.seconds


def to_markdown(seconds: dict[str, float]) -> str:
    """Return a table of all phases.

    Args:
        seconds (dict[str, float]): CPU seconds of each phase.
    """
    total = sum(seconds.values())
    rows = dict(seconds) | {
        'steps with loading': sum(seconds[name] for name in STEPS),
        'total': total,
    }
    lines = ['| phase | CPU seconds | share |', '|---|---|---|']
    lines += [f'| {n} | {s:.2f} | {s / total:.1%} |' for n, s in rows.items()]
    return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure a run, and print a table.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to
            ``sys.argv[1:]``.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, default=1000)
    parser.add_argument('--classes', type=int, default=50)
    parser.add_argument('--epochs', type=int, default=20)
    parser.add_argument('--method', default='davpt')
    parser.add_argument('--workers', type=int, default=0, help='of the loader')
    parser.add_argument('--out', type=Path, help='write the figures as JSON')
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(args, Path(folder))
    order = ('imports', *FUNCTIONS, OPEN[0])
    found['imports'] = IMPORTS
    seconds = {name: found[name] for name in order}
    print(to_markdown(seconds))
    if args.out:
        settings = {k: v for k, v in vars(args).items() if k != 'out'}
        content = dict(settings, seconds=seconds)
        args.out.write_text(json.dumps(content, indent=1) + '\n')


if __name__ == '__main__':
    main()
