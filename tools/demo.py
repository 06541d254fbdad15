"""See everything work: ``python tools/demo.py``, a few minutes on two cores.

Writes glyph scenes in the ADE20K layout, tunes SETR-PUP with DA-VPT, tunes a
classifier with and without guidance, tests all of them and draws pictures.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from mmengine.hooks import Hook  # noqa: E402
from mmengine.runner import Runner  # noqa: E402

from mmdavpt.cli import common as cli  # noqa: E402
from mmdavpt.models import count_parameters  # noqa: E402
from mmdavpt.visualization import draw_mapping, draw_predictions  # noqa: E402
from tools.dataset_converters.glyph_writers import write_scenes_ade20k  # noqa: E402

GLYPHS = ROOT / 'configs' / 'glyphs'
NUM_SCENES = {'training': 800, 'validation': 60}
SCENE_SIZE = (64, 96)


class MappingRecorder(Hook):
    """Keeps the mapping before and after training."""

    priority = 'LOW'

    def before_train(self, runner: Runner) -> None:
        """Keep the first mapping."""
        self.before = runner.model.guidance.mapping.tolist()

    def after_train(self, runner: Runner) -> None:
        """Keep the last mapping."""
        self.after = runner.model.guidance.mapping.tolist()


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='See everything work.')
    parser.add_argument(
        '--out', default='demo_output', help='where everything goes'
    )
    return parser.parse_args(argv)


def say(text: str) -> None:
    """Print a line that stands out in the log."""
    print(f'\n=== {text}', flush=True)


def build(config: str, work_dir: Path, options: dict | None = None) -> Runner:
    """Build the runner of a glyph config, as tools/train.py does."""
    cfg = cli.load_config(str(GLYPHS / config), options)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = work_dir.name
    cli.check_files(cfg, training=True)
    return cli.build_runner(cfg, training=True)


def trainable(runner: Runner) -> int:
    """Return the number of parameters that train."""
    return sum(n for n, _ in count_parameters(runner.model).values())


def tune_segmentor(out: Path) -> str:
    """Tune and test SETR-PUP on scenes; return the line of the result."""
    data_root = out / 'data' / 'glyph_scenes'
    say(f'glyph scenes in the ADE20K layout -> {data_root}')
    for seed, (split, number) in enumerate(NUM_SCENES.items()):
        write_scenes_ade20k(
            str(data_root), split, number, seed=seed, size=SCENE_SIZE
        )
    options = {
        f'{split}_dataloader.dataset.data_root': str(data_root)
        for split in ('train', 'val', 'test')
    }
    say('segmentation: SETR-PUP with DA-VPT (setr_davpt_glyphs.py)')
    runner = build('setr_davpt_glyphs.py', out / 'setr_davpt', options)
    recorder = MappingRecorder()
    runner.register_hook(recorder)
    runner.train()
    say('segmentation: single-scale test')
    single = runner.test()['mIoU']
    say('segmentation: multi-scale test')
    cfg = cli.load_config(str(GLYPHS / 'setr_davpt_glyphs.py'), options)
    cli.use_tta(cfg)
    cfg.work_dir = str(out / 'setr_davpt')
    cfg.experiment_name = 'setr_davpt_multi_scale'
    cfg.load_from = str(out / 'setr_davpt' / f'iter_{runner.max_iters}.pth')
    multi = Runner.from_cfg(cfg).test()['mIoU']
    draw_segmentation(runner, out / 'segmentation.png')
    names = runner.train_dataloader.dataset.metainfo['classes']
    draw_mapping(
        ['_', *names[1:]],
        [
            ('before training', recorder.before),
            ('after training', recorder.after),
        ],
        str(out / 'prompts_segmentation.png'),
    )
    return (
        f'segmentation    DA-VPT   mIoU-SS {single:.2f}   mIoU-MS '
        f'{multi:.2f}   {trainable(runner):>7,} trainable parameters'
    )


def draw_segmentation(runner: Runner, path: Path, number: int = 6) -> None:
    """Draw predictions beside the ground truth of the first scenes."""
    dataset = runner.test_dataloader.dataset
    images, truths, predictions = [], [], []
    runner.model.eval()
    for index in range(number):
        data = dataset[index]
        data = {key: [value] for key, value in data.items()}
        with torch.no_grad():
            result = runner.model.test_step(data)[0]
        images.append(data['inputs'][0].numpy().transpose(1, 2, 0)[..., ::-1])
        truths.append(result.gt_sem_seg.data[0].cpu().numpy())
        predictions.append(
            result.pred_sem_seg.data[0].cpu().numpy().astype(np.int64)
        )
    draw_predictions(
        images,
        truths,
        predictions,
        dataset.metainfo['classes'],
        dataset.metainfo['palette'],
        str(path),
    )


def tune_classifier(out: Path, guided: bool) -> str:
    """Tune and test the classifier; return the line of the result."""
    name = 'davpt' if guided else 'vpt'
    label = 'DA-VPT' if guided else 'VPT'
    say(f'classification: {label} ({name}_glyphs.py)')
    runner = build(f'{name}_glyphs.py', out / name)
    if guided:
        recorder = MappingRecorder()
        runner.register_hook(recorder)
    runner.train()
    metrics = runner.test()
    if guided:
        draw_mapping(
            runner.train_dataloader.dataset.metainfo['classes'],
            [
                ('before training', recorder.before),
                ('after training', recorder.after),
            ],
            str(out / 'prompts_classification.png'),
        )
    return (
        f'classification  {label:<7}  top-1 '
        f'{metrics["accuracy/top1"]:.2f}   top-5 '
        f'{metrics["accuracy/top5"]:.2f}   {trainable(runner):>7,} '
        'trainable parameters'
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demonstration."""
    out = Path(parse_args(argv).out)
    start = time.perf_counter()
    with cli.exit_with_sentence():
        lines = [tune_segmentor(out)]
        lines += [tune_classifier(out, guided) for guided in (True, False)]
    say(f'done in {time.perf_counter() - start:.0f} s')
    print('\n'.join(lines))
    print(f"""
Pictures, in {out}/
  segmentation.png            scenes, ground truth and predictions
  prompts_segmentation.png    which letters share a prompt
  prompts_classification.png  which characters share a prompt, before and after
Checkpoints and logs: {out}/setr_davpt, {out}/davpt, {out}/vpt

What to try next
  python tools/train.py configs/glyphs/davpt_glyphs.py --cfg-options \\
      model.guidance.loss.token_weight=0.5 model.backbone.num_prompts=5
  python tools/visualization/show_mapping.py {out}/davpt/epoch_20.pth
  README.md, "Your own data": the same for a folder of images of yours""")


if __name__ == '__main__':
    main()
