"""Processor time until methods reach an accuracy on a folder of images."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmdavpt.engine.schedules import warm_up_cosine
from mmdavpt.mapping.loaders import first_pass_loader, sample_loader
from mmdavpt.models.prompt_init import init_prompts
from mmdavpt.registry import MODELS

from .cases import autocast
from .peers import Method, Setting, config_of, trained_parameters


@dataclass
class Curve:
    """The training of a method.

    Attributes:
        name (str): The method.
        lr (float): Its learning rate.
        parameters (int): Numbers that it trains, with the head.
        seconds (list[float]): Processor time of training at the end of each
            epoch, without loading and validation.
        accuracy (list[float]): Share of right validation images then.
    """

    name: str
    lr: float
    parameters: int
    seconds: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)

    def time_to(self, target: float) -> float | None:
        """Return the first time with an accuracy, or None.

        Args:
            target (float): The accuracy, from 0 to 1.
        """
        pairs = zip(self.seconds, self.accuracy, strict=True)
        return next((s for s, reached in pairs if reached >= target), None)


class Training:
    """A model in training, whose steps are timed.

    Args:
        method (Method): The method.
        setting (Setting): The setting.
        cfg (Config): See :func:`.peers.config_of`.
        lr (float): The highest learning rate.
        steps (int): How many steps the training has.
        device (str): The device.
    """

    def __init__(
        self,
        method: Method,
        setting: Setting,
        cfg: Config,
        lr: float,
        steps: int,
        device: str,
    ) -> None:
        self.model = method.build(setting).to(device)
        normalize = dict(cfg.data_preprocessor, type='ClsDataPreprocessor')
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            built = MODELS.build(normalize)
        self.model.data_preprocessor = built.to(device)
        self.precision, self.device = setting.precision, device
        self.curve = Curve(method.name, lr, trained_parameters(self.model))
        trained = [p for p in self.model.parameters() if p.requires_grad]
        groups = [
            dict(params=[p for p in trained if p.ndim > 1]),
            dict(params=[p for p in trained if p.ndim < 2], weight_decay=0.0),
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=0.01)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: warm_up_cosine(step, steps, 0.1)
        )
        self.spent = 0.0

    def prepare(self, loader: DataLoader, seed: int) -> None:
        """Set prompts and the mapping, as the recommended config does.

        Args:
            loader (DataLoader): That of the training.
            seed (int): Of all choices.
        """
        if self.model.backbone.prompts:
            sample = [*sample_loader(loader, 200, seed)]
            images = sum(len(batch['inputs']) for batch in sample)
            with self.clock():
                init_prompts(self.model, sample, images, seed=seed)
        if self.model.guidance is not None:
            batches = [*first_pass_loader(loader, seed)]
            with self.clock():
                self.model.fit_mapping(batches, seed)

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Count the processor time of a block."""
        start = time.process_time()
        yield
        self.spent += time.process_time() - start

    def train(self, batches: Sequence[dict]) -> None:
        """Train for an epoch.

        Args:
            batches (Sequence[dict]): Those of a loader.
        """
        self.model.train()
        for batch in batches:
            with self.clock():
                self.step(batch)
        if self.model.guidance is not None:
            with self.clock():
                self.model.refresh_mapping()

    def step(self, batch: dict) -> None:
        """Train on a batch.

        Args:
            batch (dict): Of a loader.
        """
        data = self.model.data_preprocessor(batch, True)
        with autocast(self.precision, self.device):
            losses = self.model(**data, mode='loss')
            loss = self.model.parse_losses(losses)[0]
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()

    @torch.no_grad()
    def validate(self, batches: Sequence[dict]) -> None:
        """Add a point to the curve.

        Args:
            batches (Sequence[dict]): Those of a loader.
        """
        self.model.eval()
        right = []
        for batch in batches:
            data = self.model.data_preprocessor(batch, False)
            with autocast(self.precision, self.device):
                logits = self.model(data['inputs'], mode='tensor')
            labels = torch.cat([x.gt_label for x in data['data_samples']])
            right.append(logits.argmax(1) == labels)
        self.curve.seconds.append(self.spent)
        self.curve.accuracy.append(torch.cat(right).float().mean().item())


def race(
    methods: Sequence[Method],
    setting: Setting,
    folder: Path,
    train: str,
    epochs: int,
    rates: Mapping[str, float],
    seed: int,
    device: str,
) -> Iterator[list[Curve]]:
    """Train all methods, an epoch of each in turn, on the same batches.

    Args:
        methods (Sequence[Method]): The methods.
        setting (Setting): The setting; classes are those of the folder.
        folder (Path): A folder with ``TRAIN/CLASS/IMAGE`` and
            ``val/CLASS/IMAGE``.
        train (str): The name of its folder TRAIN.
        epochs (int): How many epochs.
        rates (Mapping[str, float]): Learning rates of methods, by their names
            or those of the methods that they are like; others are the
            recommended ones.
        seed (int): Of weights, order and crops.
        device (str): The device.

    Yields:
        list[Curve]: The curves so far, after each epoch.
    """
    classes = sorted(p.name for p in (folder / train).iterdir())
    setting = replace(setting, classes=len(classes))
    data = dict(
        data_root=str(folder.resolve()),
        train_data=dict(data_prefix=train),
        val_data=dict(data_prefix='val'),
        classes=classes,
    )
    cfg = config_of(setting, **data)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        loader = Runner.build_dataloader(cfg.train_dataloader, seed)
        val = [*Runner.build_dataloader(cfg.val_dataloader, seed)]
    trainings = []
    for method in methods:
        given = rates.get(method.name, rates.get(method.like))
        lr = given or config_of(setting, method.like).learning_rate
        torch.manual_seed(seed)
        steps = epochs * len(loader)
        training = Training(method, setting, cfg, lr, steps, device)
        if method.package == 'mmdavpt':
            training.prepare(loader, seed)
        trainings.append(training)
    np.random.seed(seed)  # of crops and flips
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        batches = [*loader]
        for training in trainings:
            torch.manual_seed(seed + epoch)  # of dropout
            training.train(batches)
            training.validate(val)
        yield [training.curve for training in trainings]
