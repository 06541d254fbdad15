"""Sensitivity-aware parameter-efficient tuning (He et al., ICCV 2023)."""

from collections.abc import Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdavpt.errors import UsageError
from mmdavpt.registry import TUNERS

from .bias import checked_parts
from .selective import SelectiveTuner
from .tuner import PARTS, BackboneSizes, FrozenWeights


@TUNERS.register_module()
class SPT(SelectiveTuner):
    r"""Tune the most sensitive frozen weights, within a budget.

    The sensitivity of a weight is the sum over batches of
    :math:`(\partial L / \partial w)^2`, the first-order effect of a step of
    SGD. The most sensitive entries of the projections' matrices are chosen.
    They are tuned singly, with

    .. math::
        y = (W + D)\, x + b

    for a sparse :math:`D`, initially zero; but a matrix in which at least
    :math:`1 / \alpha` as many entries are chosen as a low-rank module has
    parameters gets that module instead. As released (ziplab/SPT, engine.py),
    except that the budget is never exceeded, biases, norms and [CLS] stay
    frozen, and the modules have no dropout.

    Args:
        sizes (BackboneSizes): Sizes of the backbone.
        selection (str, optional): See :class:`.SelectiveTuner`. Defaults to
            None: before it is made.
        budget (int): The largest number of parameters. Defaults to 400,000.
        form (str): The module: 'lora', :math:`y + B A x`; or 'adapter',
            :math:`y + B\,\mathrm{GELU}(A y + a) + c`. Both leave :math:`y`
            unchanged at the start. Defaults to 'lora'.
        rank (int): Its rank. Defaults to 8.
        alpha (float): The :math:`\alpha` above. Defaults to 10.
        targets (Sequence[str]): Projections out of ``PARTS``. Defaults to
            all.

    Raises:
        ValueError: If a number is out of range, or a name is unknown.
    """

    batches = 8

    def __init__(
        self,
        sizes: BackboneSizes,
        selection: str | None = None,
        budget: int = 400_000,
        form: str = 'lora',
        rank: int = 8,
        alpha: float = 10.0,
        targets: Sequence[str] = PARTS,
    ) -> None:
        settings = dict(budget=budget, form=form, rank=rank)
        if form not in ('lora', 'adapter') or min(budget, rank, alpha) < 1:
            raise ValueError(
                "SPT: `form` should be 'lora' or 'adapter', and the numbers "
                f'at least 1, but got {settings} and alpha={alpha}'
            )
        targets = [*checked_parts('`targets`', targets)]
        settings.update(alpha=float(alpha), targets=targets)
        super().__init__(sizes, selection, **settings)
        self.adapts = form == 'adapter'
        self.values, self.low_rank = nn.ParameterDict(), nn.ModuleDict()
        for layer, part in self._projections():
            name = f'{layer}_{part}'
            indices = self._buffers.get(f'indices_{name}')
            if indices is not None and len(indices):
                self.values[name] = nn.Parameter(torch.zeros(len(indices)))
            elif indices is not None:
                self.low_rank[name] = self._module(part)
        self.parts = () if selection is None else tuple(targets)

    def _projections(self) -> list[tuple[int, str]]:
        layers = range(self.sizes.num_layers)
        return [*product(layers, self.settings['targets'])]

    def _module(self, part: str) -> nn.Sequential:
        inputs, outputs = self.sizes.parts[part]
        adapts, rank = self.adapts, self.settings['rank']
        down = nn.Linear(outputs if adapts else inputs, rank, bias=adapts)
        up = nn.Linear(rank, outputs, bias=adapts)
        for parameter in up.parameters():
            nn.init.zeros_(parameter)
        return nn.Sequential(down, nn.GELU() if adapts else nn.Identity(), up)

    def _change(self, name: str) -> Tensor:
        """Return the change of a weight, dense."""
        if name in self.low_rank:
            down, _, up = self.low_rank[name]
            return up.weight @ down.weight
        inputs, outputs = self.sizes.parts[name.partition('_')[2]]
        values, indices = self.values[name], self._buffers[f'indices_{name}']
        flat = values.new_zeros(outputs * inputs).scatter(0, indices, values)
        return flat.view(outputs, inputs)

    def project(self, layer: int, part: str, x: Tensor, y: Tensor) -> Tensor:
        """Add the changes: see :meth:`.Tuner.project`."""
        name = f'{layer}_{part}'
        if name in self.values:
            return y + F.linear(x, self._change(name))
        if name in self.low_rank:
            return y + self.low_rank[name](y if self.adapts else x)
        return y

    def fold(self, weights: FrozenWeights) -> None:
        """Add the changes to the frozen weights, unless they are adapters."""
        if self.adapts and len(self.low_rank):
            super().fold(weights)
        for name in (*self.values, *self.low_rank):
            layer, _, part = name.partition('_')
            weights.weight(int(layer), part).add_(self._change(name))

    def watched(self, backbone: nn.Module) -> list[nn.Parameter]:
        """Return the weights: see :meth:`.SelectiveTuner.watched`."""
        modules = [backbone.linear(*each)[0] for each in self._projections()]
        return [*dict.fromkeys(module.weight for module in modules)]

    def score(self, value: Tensor, gradient: Tensor) -> Tensor:
        """Return the sensitivity in a batch, with the gradient's shape."""
        return gradient.square()

    def select(self, backbone: nn.Module, scores: dict) -> dict[str, Tensor]:
        """Return the entries: see :meth:`.SelectiveTuner.select`.

        Raises:
            UsageError: If the budget allows none.
        """
        places = self._projections()
        linears = [backbone.linear(*place) for place in places]
        scored = [scores[linear.weight][rows] for linear, rows in linears]
        modules = [self._module(part) for _, part in places]
        sizes = [sum(p.numel() for p in m.parameters()) for m in modules]
        alpha, selected = self.settings['alpha'], {}
        masks = within_budget(scored, sizes, alpha, self.settings['budget'])
        for i, (layer, part) in enumerate(places):
            indices = masks[i].flatten().nonzero().flatten().cpu()
            if len(indices):
                kept = 0 if len(indices) >= sizes[i] / alpha else None
                # None of them stands for a module.
                selected[f'indices_{layer}_{part}'] = indices[:kept]
        if not selected:
            raise UsageError(
                'SPT finds no weight with a gradient within its budget; raise '
                '`budget`, and use a head whose weights are not 0'
            )
        return selected


def within_budget(
    scores: Sequence[Tensor], sizes: Sequence[int], alpha: float, budget: int
) -> list[Tensor]:
    """Choose the entries of the largest scores that a budget allows.

    Args:
        scores (Sequence[Tensor]): Scores, 0 or more, of each tensor's entries.
        sizes (Sequence[int]): The number of parameters of each tensor's
            low-rank module.
        alpha (float): A tensor costs its module if at least ``1 / alpha`` as
            many of its entries are chosen; else each chosen entry costs one.
        budget (int): The largest number of parameters.

    Returns:
        list[Tensor]: Masks of the chosen entries: all above a threshold, the
        lowest that the budget allows, and none of score 0.
    """
    # The bits of floats that are not negative have the order of the floats.
    bits = [each.float().contiguous().view(torch.int32) for each in scores]
    low, high = 1, torch.iinfo(torch.int32).max
    while low < high:
        middle = (low + high) // 2
        counts = [int((each >= middle).sum()) for each in bits]
        pairs = zip(counts, sizes, strict=True)
        total = sum(size if n >= size / alpha else n for n, size in pairs)
        low, high = (low, middle) if total <= budget else (middle + 1, high)
    return [each >= low for each in bits]
