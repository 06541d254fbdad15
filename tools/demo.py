"""Train and test a segmentor and two classifiers on glyphs.

    python tools/demo.py

takes less than five minutes on two cores. It writes glyph scenes in the
ADE20K layout, tunes SETR-PUP with DA-VPT, tunes a classifier with and without
guidance, tests all of them and draws pictures.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from mmdavpt.cli import options  # noqa: E402


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the demo."""
    parser.add_argument(
        '--out', default='demo_output', help='folder of all results'
    )


if __name__ == '__main__':
    options.parse_arguments(add_arguments)  # answer before slow imports

import numpy as np  # noqa: E402
import torch  # noqa: E402
from mmengine.hooks import Hook  # noqa: E402
from mmengine.runner import Runner  # noqa: E402

from mmdavpt.cli import common as cli  # noqa: E402
from mmdavpt.cli.console import quiet_console  # noqa: E402
from mmdavpt.cli.evaluation import use_tta  # noqa: E402
from mmdavpt.cli.messages import exit_with_sentence  # noqa: E402
from mmdavpt.models import count_parameters  # noqa: E402
from tools.dataset_converters.glyph_writers import (  # noqa: E402
    write_scenes_ade20k,
)
from tools.visualization.segmentation import draw_predictions  # noqa: E402
from tools.visualization.show_mapping import draw_mapping  # noqa: E402

GLYPHS = ROOT / 'configs' / 'glyphs'
NUM_SCENES = {'training': 800, 'validation': 60}
SCENE_SIZE = (64, 96)
#: Fewer than in the configs (500 and 20), but enough to learn.
ITERATIONS = 350
EPOCHS = 8


class MappingRecorder(Hook):
    """Record the mapping before and after training."""

    priority = 'LOW'

    def before_train(self, runner: Runner) -> None:
        """Record the first mapping."""
        self.before = runner.model.guidance.mapping.tolist()

    def after_train(self, runner: Runner) -> None:
        """Record the last mapping."""
        self.after = runner.model.guidance.mapping.tolist()

    def draw(self, class_names: Sequence[str], path: Path) -> None:
        """Draw both mappings."""
        mappings = [
            ('before training', self.before),
            ('after training', self.after),
        ]
        draw_mapping(class_names, mappings, str(path))


def print_title(text: str) -> None:
    """Print a line that stands out in the log."""
    print(f'\n=== {text}', flush=True)


def train(
    config: str, work_dir: Path, options: dict | None = None
) -> tuple[Runner, MappingRecorder | None]:
    """Train a glyph config as tools/train.py does.

    Args:
        config (str): Name of the config.
        work_dir (Path): Folder of checkpoints and logs.
        options (dict, optional): Dotted keys to values. Defaults to None.

    Returns:
        tuple[Runner, MappingRecorder | None]: The runner after training, and
        the mappings of a guided model.
    """
    cfg = cli.load_config(str(GLYPHS / config), options)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = work_dir.name
    cli.check_files(cfg, training=True)
    runner = cli.build_runner(cfg, training=True)
    recorder = None
    if cfg.model.get('guidance') is not None:
        recorder = MappingRecorder()
        runner.register_hook(recorder)
    runner.train()
    return runner, recorder


def count_trainable(runner: Runner) -> str:
    """Return the number of trainable parameters as text."""
    number = sum(n for n, _ in count_parameters(runner.model).values())
    return f'{number:>7,} trainable parameters'


def tune_segmentor(out: Path) -> str:
    """Tune and test SETR-PUP on scenes; return a line of results."""
    data_root = out / 'data' / 'glyph_scenes'
    print_title(f'glyph scenes in the ADE20K layout -> {data_root}')
    for seed, (split, number) in enumerate(NUM_SCENES.items()):
        write_scenes_ade20k(
            str(data_root), split, number, seed=seed, size=SCENE_SIZE
        )
    options = {
        f'{split}_dataloader.dataset.data_root': str(data_root)
        for split in ('train', 'val', 'test')
    }
    options['max_iters'] = ITERATIONS
    config, work_dir = 'setr_davpt_glyphs.py', out / 'setr_davpt'
    print_title(f'segmentation: SETR-PUP with DA-VPT ({config})')
    runner, recorder = train(config, work_dir, options)
    # The last validation is the single-scale test: both have the same scenes.
    single = runner.message_hub.get_scalar('val/mIoU').current()
    print_title('segmentation: multi-scale test')
    cfg = cli.load_config(str(GLYPHS / config), options)
    use_tta(cfg)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = 'setr_davpt_multi_scale'
    cfg.load_from = str(work_dir / f'iter_{ITERATIONS}.pth')
    multi = Runner.from_cfg(cfg).test()['mIoU']
    draw_segmentation(runner, out / 'segmentation.png')
    classes = runner.train_dataloader.dataset.metainfo['classes']
    recorder.draw(['_', *classes[1:]], out / 'prompts_segmentation.png')
    return (
        f'segmentation    DA-VPT   mIoU-SS {single:.2f}   mIoU-MS '
        f'{multi:.2f}   {count_trainable(runner)}'
    )


def draw_segmentation(runner: Runner, path: Path, number: int = 6) -> None:
    """Draw the predictions and the ground truth of the first scenes."""
    dataset = runner.val_dataloader.dataset
    images, truths, predictions = [], [], []
    runner.model.eval()
    for index in range(number):
        data = {key: [value] for key, value in dataset[index].items()}
        with torch.no_grad():
            result = runner.model.test_step(data)[0]
        images.append(data['inputs'][0].numpy().transpose(1, 2, 0)[..., ::-1])
        truths.append(result.gt_sem_seg.data[0].cpu().numpy())
        predictions.append(
            result.pred_sem_seg.data[0].cpu().numpy().astype(np.int64)
        )
    metainfo = dataset.metainfo
    draw_predictions(
        images,
        truths,
        predictions,
        metainfo['classes'],
        metainfo['palette'],
        str(path),
    )


def tune_classifier(out: Path, name: str, label: str) -> str:
    """Tune and test a classifier; return a line of results."""
    print_title(f'classification: {label} ({name}_glyphs.py)')
    options = {'max_epochs': EPOCHS, 'train_cfg.val_interval': EPOCHS}
    if name == 'vpt':  # vpt_glyphs.py inherits, and so has no max_epochs
        options['model.guidance'] = None
    runner, recorder = train('davpt_glyphs.py', out / name, options)
    metrics = runner.test()
    if recorder is not None:
        classes = runner.train_dataloader.dataset.metainfo['classes']
        recorder.draw(classes, out / 'prompts_classification.png')
    return (
        f'classification  {label:<7}  top-1 {metrics["accuracy/top1"]:.2f}   '
        f'top-5 {metrics["accuracy/top5"]:.2f}   {count_trainable(runner)}'
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo."""
    out = Path(options.parse_arguments(add_arguments, argv).out)
    start = time.perf_counter()
    with quiet_console(), exit_with_sentence():
        lines = [tune_segmentor(out)]
        lines.append(tune_classifier(out, 'davpt', 'DA-VPT'))
        lines.append(tune_classifier(out, 'vpt', 'VPT'))
    print_title(f'done in {time.perf_counter() - start:.0f} s')
    print('\n'.join(lines))
    print(f"""
Pictures in {out}/
  segmentation.png            scenes, ground truth and predictions
  prompts_segmentation.png    which letters share a prompt
  prompts_classification.png  which characters share a prompt, before and after
Checkpoints and logs: {out}/setr_davpt, {out}/davpt, {out}/vpt

What to try next
  python tools/train.py configs/glyphs/davpt_glyphs.py --cfg-options \\
      model.guidance.loss.token_weight=0.5 model.backbone.num_prompts=5
  python tools/visualization/show_mapping.py {out}/davpt/epoch_{EPOCHS}.pth
  README.md, "Your own data": the same for your own images""")


if __name__ == '__main__':
    main()
