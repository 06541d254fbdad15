"""Several tuned models over one set of frozen weights."""

import copy
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import torch
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn

from mmdavpt.errors import UsageError
from mmdavpt.models.backbones.mixed_tasks import mixed_features
from mmdavpt.models.backbones.prompted_backbone import PromptedBackbone

from .model_file import load_model
from .transform import Picture
from .tuned_model import TunedModel
from .video import frames_of


class MultiTaskModel(nn.Module):
    """Several tuned models over one set of frozen weights, for prediction.

    A batch may mix tasks: each image has the prompts and the head of its own
    task. Tasks share a pass through the frozen layers if their models differ
    in classes, heads and the values of prompts alone. All others run a pass
    of their own, with the same frozen weights: those with another number of
    prompts, tuners, connections of prompts, or sliding windows.

    Args:
        files (Sequence[str | Path]): Model files. A task has the name of its
            file without suffix.
        weights (str, optional): See :func:`.load_model`. Defaults to None.

    Attributes:
        tasks (dict[str, TunedModel]): Names to models.

    Raises:
        UsageError: If two files have one name, other frozen weights, or
            prepare images otherwise.
    """

    def __init__(
        self, files: Sequence[str | Path], weights: str | None = None
    ) -> None:
        super().__init__()
        self.tasks: dict[str, TunedModel] = {}
        self._passes: dict[Hashable, list[str]] = {}
        first = None
        for file in files:
            name = Path(file).stem
            model = load_model(file, None, weights, first)
            if name in self.tasks:
                raise UsageError(f'two tasks are called {name}; rename a file')
            self.tasks[name], first = model, first or model
            self._passes.setdefault(_pass_of(model), []).append(name)
        self.models = nn.ModuleList(self.tasks.values())

    def forward(self, images: Tensor, tasks: Sequence[str]) -> list[Tensor]:
        """Return the logits of images, each for its own task.

        Args:
            images (Tensor): See :class:`.TunedModel`.
            tasks (Sequence[str]): The task of each image.

        Returns:
            list[Tensor]: For each image (K, ) or (K, H, W), with the ``K``
            classes of its task.

        Raises:
            UsageError: If there is not one known task for each image.
        """
        if len(tasks) != len(images) or not {*tasks} <= {*self.tasks}:
            raise UsageError(f'each image needs one of {[*self.tasks]}')
        rows = {t: [i for i, n in enumerate(tasks) if n == t] for t in tasks}
        logits = {}
        for task in self._run(self.models[0]._pack(images), rows):
            found = self.tasks[task](images[rows[task]])
            logits.update(zip(rows[task], found, strict=True))
        return [logits[i] for i in range(len(tasks))]

    @torch.no_grad()
    def predict(self, images: Iterable[Picture], every: int = 1) -> list[dict]:
        """Predict each image for all tasks.

        Args:
            images (Iterable[Picture]): See :meth:`.TunedModel.predict`.
            every (int): See there. Defaults to 1.

        Returns:
            list[dict]: For each image and task the result of the task's
            model, and ``task``, its name.
        """
        results, rows = [], dict.fromkeys(self.tasks, [0])
        transform = self.models[0].transform
        for picture in (p for x in images for _, p in frames_of(x, every)):
            sample = transform.sample(transform.load(picture))
            for task in self._run(pseudo_collate([sample]), rows):
                # A result sets fields of its sample.
                found = self.tasks[task].predict_sample(copy.deepcopy(sample))
                results.append(dict(task=task, **found))
        return results

    def _run(self, batch: dict, rows: dict[str, list]) -> Iterator[str]:
        """Yield tasks while their backbones return what one pass computed.

        Args:
            batch (dict): Images, as a pipeline gives them.
            rows (dict[str, list[int]]): Tasks to their images.
        """
        inputs = self.models[0].model.data_preprocessor(batch)['inputs']
        for names in self._passes.values():
            names = [name for name in names if name in rows]
            if len(names) < 2:
                yield from names
                continue
            vits = [self.tasks[name].model.backbone for name in names]
            own = [rows[name] for name in names]
            features = mixed_features(vits, inputs, own)
            for name, vit, x in zip(names, vits, features, strict=True):
                with patch.object(vit, 'forward', lambda _, x=x: x):
                    yield name


def _pass_of(model: TunedModel) -> Hashable:
    """Return what models that share a pass have in common."""
    cfg, vit = model.spec['model'], model.model.backbone
    plain = isinstance(vit, PromptedBackbone)
    if not plain or 'slide' in str(cfg.get('test_cfg')):
        return model
    if vit.all_tuners() or vit.propagate or vit.pool_prompts:
        return model
    named = vit.named_parameters()
    weights = [id(x) for name, x in named if not name.startswith('prompts.')]
    others = dict(num_prompts=vit.prompts.counts, init_cfg=weights)
    return str(cfg['backbone'] | others)
