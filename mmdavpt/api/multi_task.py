"""Several tuned models over one set of frozen weights."""

import copy
from collections.abc import Hashable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mmdavpt.errors import UsageError
from mmdavpt.models.backbones import Features, PromptedBackbone, frozen_prefix

from .model_file import load_model
from .transform import Picture
from .tuned_model import TunedModel


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
        first = self.models[0]
        batch = first.model.data_preprocessor(first._pack(images))
        inputs = self._inputs(batch['inputs'], rows)
        logits = {t: iter(self.tasks[t].logits(x)) for t, x in inputs.items()}
        return [next(logits[task]) for task in tasks]

    #: As of :meth:`.TunedModel.predict`: for each image the results of all
    #: tasks, and ``task`` in them, the name.
    predict = TunedModel.predict

    def _results(self, picture: Picture) -> list[dict]:
        batch = self.models[0].prepare(picture)
        inputs = self._inputs(batch['inputs'], dict.fromkeys(self.tasks, [0]))
        results = []
        for name, model in self.tasks.items():
            samples = copy.deepcopy(batch['data_samples'])
            found = model.describe(inputs[name], samples)
            results.append(dict(task=name, **found))
        return results

    def _inputs(
        self, images: Tensor, rows: dict[str, list[int]]
    ) -> dict[str, Tensor | Features]:
        """Return the images of tasks, or features of a pass that they share.

        Args:
            images (Tensor): Normalized, with shape (B, 3, H, W).
            rows (dict[str, list[int]]): Tasks to their images.
        """
        inputs = {task: images[own] for task, own in rows.items()}
        for group in self._passes.values():
            names = [name for name in group if name in rows]
            if len(names) > 1:
                vits = [self.tasks[name].model.backbone for name in names]
                own = [rows[name] for name in names]
                found = mixed_features(vits, images, own)
                inputs.update(zip(names, found, strict=True))
        return inputs


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


def mixed_features(
    vits: Sequence[nn.Module], images: Tensor, rows: Sequence[Sequence[int]]
) -> list[Features]:
    """Return the features of images for several backbones, in one pass.

    The prefix of a layer has shape (R, P, 2C): each of R rows has the keys
    and values of its own task. Layers below the first prompts run once for an
    image, whatever its number of tasks. The results are those of each
    backbone alone, up to how matrix products depend on the batch size.

    Args:
        vits (Sequence[nn.Module]): A ``PromptedBackbone`` for each task. They
            differ in the values of prompts alone, which all are prefixes.
        images (Tensor): With shape (B, 3, H, W).
        rows (Sequence[Sequence[int]]): The images of each task.

    Returns:
        list[Features]: For each task, the features of its images in
        their order.
    """
    pairs = [(image, task) for task, own in enumerate(rows) for image in own]
    order, tasks = torch.tensor(pairs, device=images.device).T
    with vits[0].precision():
        kept = [vit.prompt_cache.get_all(vit, {}) for vit in vits]
    prefixes = {i: torch.stack([k[i] for k in kept])[tasks] for i in kept[0]}
    used, inverse = order.unique(return_inverse=True)
    # Below the first prompts, one row of each image serves all its tasks.
    shared = min([*prefixes, *vits[0].out_indices], default=0)
    tokens = frozen_prefix(vits[0], images[used], shared if prefixes else 0)
    if prefixes:
        tokens = tokens._replace(x=tokens.x[inverse], projected=prefixes)
    outs = vits[0](tokens)
    outs = outs if prefixes else [out[inverse] for out in outs]
    sizes = [len(own) for own in rows]
    parts = zip(*(out.split(sizes) for out in outs), strict=True)
    return [Features(x, (len(x[0]), *images.shape[1:])) for x in parts]
