"""Test a trained run again, and keep what a report shows."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from torch import Tensor

from mmdavpt.checkpoints import last_checkpoint
from mmdavpt.errors import UsageError
from mmdavpt.models import count_parameters
from mmdavpt.unwrap import unwrap
from mmdavpt.visualization import read_scalars

from ..common import build_runner


class Outcome(NamedTuple):
    """The result of one image.

    Attributes:
        label (int): The class, the most frequent one of a segmentation; -1
            without a label.
        guess (int): The predicted class, in the same way.
        score (float): Probability of the class, or share of correct pixels.
    """

    label: int
    guess: int
    score: float


class OutcomeHook(Hook):
    """Record the outcome of each image of a test, and the confusion matrix.

    Args:
        num_classes (int): The number of classes ``K``.

    Attributes:
        matrix (np.ndarray): Images or pixels by true and predicted class,
            int64, (K, K).
        outcomes (list[Outcome]): In the order of the dataset.
    """

    def __init__(self, num_classes: int) -> None:
        self.matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
        self.outcomes: list[Outcome] = []

    def after_test_iter(self, *args, outputs: list, **kwargs) -> None:
        """Record a batch."""
        for sample in outputs:
            if 'pred_label' in sample:
                truth, guess = sample.gt_label.cpu(), sample.pred_label.cpu()
                score = sample.pred_score.cpu()[truth]
            else:
                truth, guess = (
                    sample.get(key).data.flatten().cpu()
                    for key in ('gt_sem_seg', 'pred_sem_seg')
                )
                labeled = truth < len(self.matrix)
                truth, guess = truth[labeled], guess[labeled]
                score = (truth == guess).double().mean()
            np.add.at(self.matrix, (truth.numpy(), guess.numpy()), 1)
            both = (int(x.mode()[0]) if len(x) else -1 for x in (truth, guess))
            self.outcomes.append(Outcome(*both, float(score)))


class TestedRun:
    """A run, tested with its last checkpoint.

    Args:
        folder (Path): The work folder of the training, which stays as it is.
        scratch (str): The work folder of the test.

    Attributes:
        cfg (Config): The config of the training.
        checkpoint (str): The checkpoint.
        scalars (dict[str, Curve]): See :func:`.read_scalars`.
        record (dict): Costs, as in ``run.json``.
        model (nn.Module): The model, in eval mode.
        dataset (Dataset): The test set, or else the validation set.
        metrics (dict[str, float]): Of that set.
        hook (OutcomeHook): Its outcomes.

    Raises:
        UsageError: If the folder has no log or no checkpoint of a training.
    """

    def __init__(self, folder: Path, scratch: str) -> None:
        logs = [
            path
            for path in sorted(folder.glob('*/vis_data/scalars.json'))
            if '"lr"' in path.read_text('utf-8')
        ]
        self.checkpoint, _ = last_checkpoint(str(folder))
        if not logs or self.checkpoint is None:
            raise UsageError(
                f'{folder} should be the work folder of a training, with a '
                'log (*/vis_data/scalars.json) and a checkpoint, but has '
                f'{len(logs)} logs and the checkpoint {self.checkpoint}'
            )
        self.cfg = Config.fromfile(logs[-1].with_name('config.py'))
        cfg = self.cfg.copy()
        for part in ('dataloader', 'evaluator', 'cfg'):
            cfg.setdefault(f'test_{part}', cfg.get(f'val_{part}'))
        cfg.test_dataloader.sampler.shuffle = False
        # Neither the folder nor a logging service gets anything.
        cfg.update(
            work_dir=scratch, load_from=self.checkpoint, launcher='none'
        )
        cfg.update(experiment_name=scratch, resume=False, visualizer=None)
        runner = build_runner(cfg, training=False)
        self.dataset = runner.test_loop.dataloader.dataset
        self.hook = OutcomeHook(len(self.dataset.metainfo['classes']))
        runner.register_hook(self.hook)
        metrics = runner.test()
        self.metrics = {k: v for k, v in metrics.items() if np.size(v) == 1}
        self.model = unwrap(runner.model).eval()
        self.scalars = read_scalars(folder)
        self.record = self._costs() | _read_json(folder / 'run.json')

    def _costs(self) -> dict[str, float]:
        """Return the costs that can be told without ``run.json``."""
        steps, times = self.scalars.get('time', ([0], [0]))
        memory = max(self.scalars.get('memory', ((), [0]))[1])
        trained = [n for n, _ in count_parameters(self.model).values()]
        return dict(
            num_trainable_params=sum(trained),
            train_time=steps[-1] * np.mean(times),
            accelerator_memory_max=memory * 2**20,
        )

    @property
    def is_segmentation(self) -> bool:
        """bool: Whether the model segments."""
        return hasattr(self.model, 'decode_head')

    @property
    def class_names(self) -> list[str]:
        """list[str]: The names of the classes."""
        return [str(name) for name in self.dataset.metainfo['classes']]

    def scores(self) -> list[float]:
        """Return recall or IoU of each class in percent; NaN if absent."""
        matrix = self.hook.matrix
        hits, total = matrix.diagonal(), matrix.sum(axis=1)
        if self.is_segmentation:
            total = total + matrix.sum(axis=0) - hits
        with np.errstate(invalid='ignore'):
            return (100 * hits / total).tolist()

    def load(self, index: int) -> tuple[dict, Tensor, np.ndarray]:
        """Load an image as the model gets it.

        Args:
            index (int): Its index in the dataset.

        Returns:
            tuple[dict, Tensor, np.ndarray]: The raw batch of it, the
            normalized image, (1, 3, H, W), and the picture to draw, uint8,
            RGB, (H, W, 3).
        """
        batch, pre = pseudo_collate([self.dataset[index]]), self.model
        pre = pre.data_preprocessor
        inputs = pre(batch, False)['inputs']
        pixels = inputs[0].cpu()
        if hasattr(pre, 'mean'):
            pixels = pixels * pre.std.cpu() + pre.mean.cpu()
        else:  # normalized by the pipeline
            pixels = pixels - pixels.amin()
            pixels = pixels * (255 / pixels.amax().clamp(min=1e-9))
        pixels = pixels.clamp(0, 255).byte().permute(1, 2, 0).numpy()
        rgb = getattr(pre, 'to_rgb', getattr(pre, 'channel_conversion', True))
        return batch, inputs, pixels if rgb else pixels[..., ::-1]


def _read_json(path: Path) -> dict:
    found = json.loads(path.read_text('utf-8')) if path.is_file() else {}
    return {key: value for key, value in found.items() if value is not None}
