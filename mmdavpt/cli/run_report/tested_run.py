"""Test a trained run again, and keep what a report shows."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook

from mmdavpt.checkpoints import last_checkpoint
from mmdavpt.errors import UsageError
from mmdavpt.models import count_parameters
from mmdavpt.unwrap import unwrap
from mmdavpt.visualization import read_scalars

from ..common import build_runner
from ..protocol import validates_test_images


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
                truth = sample.gt_sem_seg.data.flatten().cpu()
                guess = sample.pred_sem_seg.data.flatten().cpu()
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
        record (dict): ``run.json``, or else the costs that are known.
        model (nn.Module): The model, in eval mode.
        guidance (PromptGuidance | None): Its guidance, if it has one.
        dataset (Dataset): The test set, or else the validation set.
        is_validation (bool): Whether that is the validation set.
        class_names (list[str]): Its K classes.
        is_segmentation (bool): Whether the model segments.
        metrics (dict[str, float]): Of that set.
        hook (OutcomeHook): Its outcomes.
        labels (list[int]): Their labels.
        class_labels (list[int]): The same; empty for a segmentation.

    Raises:
        UsageError: If the folder has no log or no checkpoint of a training.
    """

    __test__ = False  # for pytest

    def __init__(self, folder: Path, scratch: str) -> None:
        logs = folder.glob('*/vis_data/scalars.json')
        logs = [p for p in sorted(logs) if '"lr"' in p.read_text('utf-8')]
        self.checkpoint, _ = last_checkpoint(str(folder))
        if not logs or self.checkpoint is None:
            raise UsageError(
                f'{folder} should be the work folder of a training, with logs '
                f'(*/vis_data/scalars.json) and a checkpoint, but has '
                f'{len(logs)} logs and the checkpoint {self.checkpoint}'
            )
        self.cfg = Config.fromfile(logs[-1].with_name('config.py'))
        cfg = self.cfg.copy()
        for part in ('dataloader', 'evaluator', 'cfg'):
            cfg.setdefault(f'test_{part}', cfg.get(f'val_{part}'))
        self.is_validation = validates_test_images(cfg)
        cfg.test_dataloader.sampler.shuffle = False
        # Without a visualizer no service gets the test.
        cfg.update(experiment_name=scratch, visualizer=None, launcher='none')
        cfg.update(work_dir=scratch, load_from=self.checkpoint, resume=False)
        runner = build_runner(cfg, training=False)
        self.dataset = runner.test_loop.dataloader.dataset
        self.class_names = [*map(str, self.dataset.metainfo['classes'])]
        self.hook = OutcomeHook(len(self.class_names))
        runner.register_hook(self.hook)
        self.metrics = runner.test()
        self.labels = [outcome.label for outcome in self.hook.outcomes]
        self.model = unwrap(runner.model).eval()
        self.guidance = getattr(self.model, 'guidance', None)
        self.is_segmentation = hasattr(self.model, 'decode_head')
        self.class_labels = [] if self.is_segmentation else self.labels
        self.scalars = read_scalars(folder)
        trained = sum(n for n, _ in count_parameters(self.model).values())
        steps, times = self.scalars.pop('time', ((0,), (0,)))
        _, memory = self.scalars.pop('memory', ((0,), (0,)))
        self.record = dict(
            num_trainable_params=trained,
            train_time=steps[-1] * np.mean(times),
            accelerator_memory_max=max(memory) * 2**20,
        )
        if (folder / 'run.json').is_file():
            self.record = json.loads((folder / 'run.json').read_text('utf-8'))

    def scores(self) -> list[float]:
        """Return recall or IoU of each class in percent; NaN if absent."""
        matrix = self.hook.matrix
        hits, total = matrix.diagonal(), matrix.sum(axis=1)
        if self.is_segmentation:
            total = total + matrix.sum(axis=0) - hits
        with np.errstate(invalid='ignore'):
            return (100 * hits / total).tolist()

    def most_confused(self, most: int = 5) -> list[tuple[int, int, int]]:
        """Return number, true and predicted class of frequent confusions.

        Args:
            most (int): How many. Defaults to 5.
        """
        matrix = self.hook.matrix
        wrong = matrix - np.diag(matrix.diagonal())
        order = np.argsort(-wrong, axis=None, kind='stable')[:most]
        pairs = np.transpose(np.unravel_index(order, wrong.shape)).tolist()
        return [(int(wrong[i, j]), i, j) for i, j in pairs if wrong[i, j]]
