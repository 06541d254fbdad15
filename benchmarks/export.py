"""Latency of exported models next to eager, and file sizes.

``python benchmarks/export.py [--sizes tiny s b] [--batches 1 8]`` exports
DA-VPT+ (20 prompts in each layer, shifts of keys and values) with random
weights and 100 classes, and prints a table. All forms of a model take turns in
one process on one core, so that a busy machine slows all of them; a ratio is
the median of a form over the median of eager.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import onnxruntime
import torch
from mmengine.registry import init_default_scope

import mmdavpt  # noqa: F401  (registers the models)
from mmdavpt.models.export import Deployed, describe_images, export_model
from mmdavpt.registry import MODELS

ARCHS = dict(
    tiny=dict(
        embed_dims=192, num_layers=12, num_heads=3, feedforward_channels=768
    ),
    s=dict(
        embed_dims=384, num_layers=12, num_heads=6, feedforward_channels=1536
    ),
    b='b',
)


def load_onnx(path: str) -> Callable:
    """Return what runs an ONNX file on one core.

    Args:
        path (str): The file.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    run = onnxruntime.InferenceSession(path, options).run
    return lambda images: run(None, {'images': images.numpy()})


#: Formats to the end of a file's name, and what loads it.
GRAPHS = dict(
    onnx=('onnx', load_onnx),
    torch=('pt2', lambda path: torch.export.load(path).module()),
    torchscript=('pt', torch.jit.load),
)


def build(arch: str) -> torch.nn.Module:
    """Return a classifier of 224x224 images with DA-VPT+.

    Args:
        arch (str): One of :data:`ARCHS`.
    """
    init_default_scope('mmpretrain')
    cfg = dict(
        type='mmdavpt.DAVPTImageClassifier',
        data_preprocessor=dict(type='ClsDataPreprocessor', num_classes=100),
        backbone=dict(
            type='mmdavpt.DAVPTVisionTransformer',
            arch=ARCHS[arch],
            img_size=224,
            patch_size=16,
            num_prompts=20,
            bias=('k', 'v'),
        ),
        head=dict(
            type='LinearClsHead',
            num_classes=100,
            in_channels=768 if arch == 'b' else ARCHS[arch]['embed_dims'],
            loss=dict(type='CrossEntropyLoss'),
        ),
    )
    return MODELS.build(cfg).eval()


def medians(
    runs: dict[str, Callable], images: torch.Tensor, rounds: int
) -> dict[str, float]:
    """Return the median seconds of each form, in turns.

    Args:
        runs (dict[str, Callable]): Form to what computes its logits.
        images (torch.Tensor): With shape (B, 3, H, W).
        rounds (int): How often each runs, after one round without clock.
    """
    seconds = {name: [] for name in runs}
    with torch.no_grad():
        for _ in range(rounds + 1):
            for name, run in runs.items():
                # Of this process: others on its core do not count.
                start = time.process_time()
                run(images)
                seconds[name].append(time.process_time() - start)
    return {name: statistics.median(x[1:]) for name, x in seconds.items()}


def measure(arch: str, batches: Sequence[int], rounds: int) -> list[str]:
    """Return the lines of a model size.

    Args:
        arch (str): One of :data:`ARCHS`.
        batches (Sequence[int]): Batch sizes.
        rounds (int): See :func:`medians`.
    """
    model = build(arch)
    info = describe_images(model, None)
    runs = {'eager': Deployed(model)}
    state = model.state_dict().values()
    sizes = {'eager': sum(value.nbytes for value in state) / 1e6}
    with tempfile.TemporaryDirectory() as folder:
        for kind, (suffix, load) in GRAPHS.items():
            path = Path(folder, f'model.{suffix}')
            export_model(model, str(path), kind, info, False)
            sizes[kind] = path.stat().st_size / 1e6
            runs[kind] = load(str(path))
    lines = []
    found = {
        batch: medians(runs, torch.randn(batch, 3, 224, 224), rounds)
        for batch in batches
    }
    for name in runs:
        cells = [arch, name, f'{sizes[name]:.1f}']
        for batch in batches:
            own, eager = found[batch][name], found[batch]['eager']
            cells += [f'{own * 1000:.0f}', f'{own / eager:.2f}']
        lines.append(f'| {" | ".join(cells)} |')
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--sizes', nargs='+', default=[*ARCHS])
    parser.add_argument('--batches', nargs='+', type=int, default=[1, 8])
    parser.add_argument('--rounds', type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for arch in args.sizes:
        print('\n'.join(measure(arch, args.batches, args.rounds)), flush=True)


if __name__ == '__main__':
    main()
