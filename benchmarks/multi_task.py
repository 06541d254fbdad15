"""Several tasks in one model, next to as many models.

``python benchmarks/multi_task.py [--tasks 1 4 16] [--rounds 3]`` writes model
files of VPT (20 prompts in each layer, 10 classes) over one ViT-S with random
weights, and predicts batches in which the images of all tasks take turns. One
model runs a batch in one pass; separate models run the images of their own
task. All forms take turns in one process on one core, so that a busy machine
slows all of them. Memory is that of the weights, and what the process grew by.
"""

import argparse
import copy
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import mmdavpt
from mmdavpt.api import MultiTaskModel

NAME, SIZE, BATCH = 'vit_small_patch14_dinov2', 98, 16


def write_files(folder: Path, number: int) -> tuple[list[Path], Path]:
    """Write tuned-only model files, and the file of the frozen weights.

    Args:
        folder (Path): Where to.
        number (int): How many tasks.
    """
    options = dict(method='vpt', num_classes=10, size=SIZE)
    weights = folder / 'vit.safetensors'
    vit = mmdavpt.create_model(NAME, pretrained=False, **options)
    save_file(vit.model.backbone.vit.state_dict(), weights)
    given = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
    source = dict(pretrained=str(weights))
    model = mmdavpt.create_model(NAME, **source, **given, **options)
    trained = [p for p in model.parameters() if p.requires_grad]
    files = []
    for i in range(number):
        for parameter in trained:
            nn.init.normal_(parameter.data, std=0.1)
        files.append(folder / f'task{i}.safetensors')
        mmdavpt.save_model(model, str(files[-1]))
    return files, weights


def resident() -> float:
    """Return the resident memory of this process in MB."""
    status = Path('/proc/self/status').read_text()
    return int(status.partition('VmRSS:')[2].split()[0]) / 1000


def megabytes(*models: nn.Module) -> float:
    """Return the size of all weights, each counted once."""
    found = {
        x.data_ptr(): x.nbytes
        for model in models
        for x in (*model.parameters(), *model.buffers())
    }
    return sum(found.values()) / 1e6


def timed(call: Callable) -> tuple[float, object]:
    """Return seconds of CPU time of this process, and the result."""
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def run_separately(models: dict[str, nn.Module], images: Tensor, tasks: list):
    """Return the logits of images, by the model of each task in turn."""
    logits = {}
    for name in dict.fromkeys(tasks):
        own = [i for i, task in enumerate(tasks) if task == name]
        logits.update(zip(own, models[name](images[own]), strict=True))
    return [logits[i] for i in range(len(tasks))]


def measure(counts: list[int], rounds: int) -> list[dict]:
    """Return a row for each number of tasks.

    Args:
        counts (list[int]): Numbers of tasks.
        rounds (int): How often each form runs, after one round without clock.
    """
    rows, runs = [], {}
    images = torch.randint(256, (BATCH, 3, SIZE, SIZE), dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        files, weights = write_files(Path(folder), max(counts))
        first, _ = timed(lambda: MultiTaskModel(files[:1], str(weights)))
        for count in counts:
            tasks = [f'task{i % count}' for i in range(BATCH)]
            before = resident()
            given = files[:count], str(weights)
            seconds, one = timed(lambda given=given: MultiTaskModel(*given))
            one(images, tasks)
            grown = resident() - before
            before = resident()
            models = {k: copy.deepcopy(m) for k, m in one.tasks.items()}
            found = run_separately(models, images, tasks)
            for x, y in zip(one(images, tasks), found, strict=True):
                torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-4)
            rows.append(
                dict(
                    tasks=count,
                    file_mb=files[0].stat().st_size / 1e6,
                    load_s=seconds,
                    load_first_s=first,
                    weights_mb=(megabytes(one), megabytes(*models.values())),
                    resident_mb=(grown, resident() - before),
                )
            )
            runs[count, 0] = lambda m=one, t=tasks: m(images, t)
            given = models, images, tasks
            runs[count, 1] = lambda given=given: run_separately(*given)
        times = {key: [] for key in runs}
        for _ in range(rounds + 1):
            for key, run in runs.items():
                times[key].append(timed(run)[0])
    for row in rows:
        one, separate = (times[row['tasks'], i][1:] for i in (0, 1))
        ratios = [x / y for x, y in zip(one, separate, strict=True)]
        row['images_per_s'] = [
            BATCH / statistics.median(x) for x in (one, separate)
        ]
        row['time_ratio'] = statistics.median(ratios)
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--tasks', nargs='+', type=int, default=[1, 4, 16])
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--out', type=Path, help='file of the figures, JSON')
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    rows = measure(args.tasks, args.rounds)
    print('| tasks | model | weights, MB | process, MB | images/s | time |')
    print('|---|---|---|---|---|---|')
    for row in rows:
        for i, form in enumerate(('one', 'separate')):
            ratio = '1.00' if i else f'{row["time_ratio"]:.2f}'
            cells = [row['tasks'], form, f'{row["weights_mb"][i]:.1f}']
            cells += [f'{row["resident_mb"][i]:.0f}']
            cells += [f'{row["images_per_s"][i]:.1f}', ratio]
            print(f'| {" | ".join(map(str, cells))} |')
    last = rows[-1]
    extra = (last['load_s'] - last['load_first_s']) / max(last['tasks'] - 1, 1)
    print(
        f'A file has {last["file_mb"]:.2f} MB. The first one loads in '
        f'{last["load_first_s"]:.1f} s of CPU time, each other in '
        f'{extra:.1f} s.'
    )
    if args.out is not None:
        args.out.write_text(json.dumps(rows, indent=1) + '\n')


if __name__ == '__main__':
    main()
