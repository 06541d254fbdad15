"""One run of at most ten minutes on a GPU: speed, memory, exactness.

``python benchmarks/gpu.py --out gpu.json`` times the forms of a training step
in several precisions, eager and compiled; compares them with the device's
peak; checks that a resumed run ends with the same bits and that NCCL works;
and measures the time to a given accuracy. Sections come in the order of their
value. One that needs more time than is left is skipped, and one that fails
does not stop the others: the exit status is then 1. The file is written after
each section. ``--device cpu`` with small sizes shows that the script runs.
"""

import argparse
import gc
import json
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from benchmarks.speed import whole_runs  # noqa: E402
from benchmarks.speed.cases import Case  # noqa: E402
from benchmarks.speed.compiling import measure_compiled  # noqa: E402
from benchmarks.speed.forms import FORMS  # noqa: E402
from benchmarks.speed.measuring import Row, measure  # noqa: E402
from benchmarks.speed.peaks import peaks_of, rates  # noqa: E402
from benchmarks.speed.report import machine  # noqa: E402
from benchmarks.speed.timing import PRECISIONS  # noqa: E402
from mmdavpt.cli.options import key_and_value  # noqa: E402

#: Columns of the table: key of a row, title and format.
COLUMNS = (
    ('ms_per_image', 'ms/image', '.3f'),
    ('images_per_s', 'images/s', ',.0f'),
    ('tflops', 'TFLOP/s', '.1f'),
    ('share_of_peak', 'of the peak', '.0%'),
    ('share_of_matmul', 'of a matmul', '.0%'),
    ('peak_mib', 'peak MiB', ',.0f'),
    ('result', 'result', ''),
)


def time_steps(
    precision: str, args: argparse.Namespace, folder: Path
) -> Iterator[dict]:
    """Time training and inference of all forms in turn.

    Args:
        precision (str): Key of ``PRECISIONS``.
        args (argparse.Namespace): The command line.
        folder (Path): Not used.
    """
    settings = args.device, args.rounds, args.warmup
    for row in measure(_case(args, precision), args.forms, *settings):
        yield _figures(row, args)


def time_compiled(
    precision: str, args: argparse.Namespace, folder: Path
) -> Iterator[dict]:
    """Time training steps of each form, compiled next to eager.

    Args:
        precision (str): See :func:`time_steps`, as for all others.
    """
    case = _case(args, precision)
    settings = args.device, args.rounds, args.warmup, args.backend
    for form in args.forms:
        row = measure_compiled(case, form, *settings)
        yield dict(_figures(row, args), result=row.describe())


def resume(args: argparse.Namespace, folder: Path) -> Iterator[dict]:
    """Compare a resumed training with an uninterrupted one.

    Args:
        args (argparse.Namespace): The command line.
        folder (Path): The parent of work folders.
    """
    given = folder, args.device, args.images, args.resume_epochs
    yield whole_runs.check_resume(*given)


def distribute(args: argparse.Namespace, folder: Path) -> Iterator[dict]:
    """Train in one process of the distributed launcher.

    Args:
        args (argparse.Namespace): See :func:`resume`, as for all others.
    """
    given = folder, args.device, args.images, args.resume_epochs
    yield whole_runs.check_distributed(*given)


def reach_accuracy(args: argparse.Namespace, folder: Path) -> Iterator[dict]:
    """Measure the training time until the final accuracy of linear probing.

    Args:
        args (argparse.Namespace): See :func:`resume`, as for all others.
    """
    target = None
    given = args.device, args.images, args.epochs
    for method in (*whole_runs.METHODS, 'davpt amp'):
        curve = whole_runs.accuracy_curve(folder / method, *given, method)
        target = curve['top1'][-1] if target is None else target
        seconds = whole_runs.seconds_until(curve, target)
        reached = 'never' if seconds is None else f'after {seconds:.1f} s'
        result = (
            f'top-1 {curve["top1"][-1]:.1f} % after {args.epochs} epochs and '
            f'{curve["seconds"][-1]:.1f} s; {target:.1f} % {reached}'
        )
        figures = dict(target=target, seconds_to_target=seconds, result=result)
        peak = curve['allocated'] / 2**20 or None
        yield dict(run=method, **curve, peak_mib=peak, **figures)


@dataclass(frozen=True)
class Section:
    """One part of the benchmark.

    Attributes:
        needs (float): Seconds on a GPU, an upper estimate.
        run (Callable): Takes the command line and a folder for files, and
            yields rows.
        gpu_only (bool): Defaults to False.
    """

    needs: float
    run: Callable[[argparse.Namespace, Path], Iterable[dict]]
    gpu_only: bool = False


#: By value, highest first.
SECTIONS = {
    'steps-bf16': Section(70, partial(time_steps, 'bf16')),
    'resume': Section(110, resume),
    'compile-bf16': Section(120, partial(time_compiled, 'bf16')),
    'nccl': Section(50, distribute),
    'accuracy': Section(150, reach_accuracy),
    'steps-fp16': Section(50, partial(time_steps, 'fp16'), gpu_only=True),
    'steps-tf32': Section(50, partial(time_steps, 'tf32'), gpu_only=True),
    'steps-fp32': Section(60, partial(time_steps, 'fp32')),
}


def _case(args: argparse.Namespace, precision: str) -> Case:
    settings = args.prompts, args.batch, args.size
    return Case(args.model, *settings, precision=precision)


def _figures(row: Row, args: argparse.Namespace) -> dict:
    run = f'{row.form}, {row.phase}'
    return dict(run=run, **rates(row, args.peak_tflops), **row.to_dict())


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    gpu = torch.cuda.is_available()
    add('--device', choices=['cuda', 'cpu'], default='cuda' if gpu else 'cpu')
    add('--minutes', type=float, default=10.0, help='budget (%(default)s)')
    add('--sections', nargs='+', choices=list(SECTIONS), default=[*SECTIONS])
    add('--model', default='vit-b', help='as in training_step.py (vit-b)')
    add('--forms', nargs='+', choices=list(FORMS), default=[*FORMS][:4])
    add('--prompts', type=int, default=20)
    add('--batch', type=int, default=64)
    add('--size', type=int, default=224, help='pixels (%(default)s)')
    add('--rounds', type=int, default=10, help='timed steps (%(default)s)')
    add('--warmup', type=int, default=3, help='further ones (%(default)s)')
    add('--backend', default='inductor', help='of torch.compile (inductor)')
    add('--images', type=int, default=1240, help='of a training (%(default)s)')
    add('--epochs', type=int, default=10, help='of accuracy (%(default)s)')
    add('--resume-epochs', type=int, default=4, help='an even number (4)')
    add(
        '--peak-tflops',
        nargs='+',
        type=key_and_value,
        metavar='PRECISION=RATE',
        help=f'dense peak of the device, by {", ".join(PRECISIONS)}; without '
        "it, that of NVIDIA's data sheet, if the device is known",
    )
    add('--out', type=Path, metavar='FILE.json', default=Path('gpu.json'))
    args = parser.parse_args(argv)
    name = torch.cuda.get_device_name() if args.device == 'cuda' else ''
    args.peak_tflops = peaks_of(name) | dict(args.peak_tflops or {})
    return args


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise a TimeoutError in a block that takes too long.

    Args:
        seconds (float): The limit.
    """

    def stop(number: int, frame: object) -> None:
        raise TimeoutError('the time is over')

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_section(
    section: Section, args: argparse.Namespace, folder: Path, left: float
) -> dict:
    """Run a section, and return its outcome.

    Args:
        section (Section): The section.
        args (argparse.Namespace): The command line.
        folder (Path): For files.
        left (float): The seconds that are left.

    Returns:
        dict: ``state``, which is 'done', 'failed' or 'skipped'; ``message``;
        ``seconds``; and ``rows``, also those before a failure.
    """
    found = dict(state='skipped', message='', seconds=0.0, rows=[])
    if section.gpu_only and args.device == 'cpu':
        return dict(found, message='needs a GPU')
    if left < section.needs:
        text = (
            f'needs {section.needs:.0f} s, but {max(left, 0):.0f} s are left'
        )
        return dict(found, message=text)
    start = time.monotonic()
    try:
        with time_limit(left):
            for row in section.run(args, folder):
                found['rows'].append(row)
        found['state'] = 'done'
    except Exception as error:
        message = f'{type(error).__name__}: {error}'
        found.update(state='failed', message=message)
        found['traceback'] = traceback.format_exc()
    found['seconds'] = time.monotonic() - start
    gc.collect()
    torch.cuda.empty_cache()  # the trainings are other processes
    return found


def to_markdown(sections: Mapping[str, dict]) -> str:
    """Return one table of all sections.

    Args:
        sections (Mapping[str, dict]): Name to the outcome, see
            :func:`run_section`.
    """
    titles = ['section', 'run', *(title for _, title, _ in COLUMNS)]
    lines = [titles, ['---'] * len(titles)]
    for name, section in sections.items():
        rows = [*section['rows']]
        if section['state'] != 'done':
            text = ' '.join(section['message'].split())[:300]
            rows.append(dict(result=f'{section["state"]}: {text}'))
        for row in rows:
            cells = [name, row.get('run', '')]
            for key, _, form in COLUMNS:
                value = row.get(key)
                cells.append('' if value is None else format(value, form))
            lines.append(cells)
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run all sections, write the file, and print the table.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to
            ``sys.argv[1:]``.

    Returns:
        int: The exit status: 1 if a section failed.
    """
    end = time.monotonic()
    args = parse_args(argv)
    end += 60 * args.minutes
    about = dict(machine(args.device), cuda=torch.version.cuda)
    settings = {k: v for k, v in vars(args).items() if k != 'out'}
    sections: dict[str, dict] = {}
    content = dict(machine=about, settings=settings, sections=sections)
    with tempfile.TemporaryDirectory() as folder:
        for name in args.sections:
            left = end - time.monotonic()
            found = run_section(SECTIONS[name], args, Path(folder), left)
            sections[name] = found
            args.out.write_text(json.dumps(content, indent=1) + '\n')
            message = f': {found["message"]}' if found['message'] else ''
            print(f'{name} {found["state"]}{message}', flush=True)
    print(f'\n{about["device"]}\n\n{to_markdown(sections)}')
    return int(any(s['state'] == 'failed' for s in sections.values()))


if __name__ == '__main__':
    raise SystemExit(main())
