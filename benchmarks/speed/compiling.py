"""Training steps with and without ``torch.compile``."""

from dataclasses import dataclass

import torch
from torch import nn
from torch._dynamo.utils import counters

from .cases import Case, build_model, share_weights
from .forms import FORMS
from .measuring import Row, count, whole_step
from .timing import (
    CLOCKS,
    float32_products,
    gpu_peak,
    interleave,
    matmul_rate,
    paired_ratio,
    spread,
    synchronize,
)


@dataclass
class CompiledRow(Row):
    """The costs of a form whose backbone is compiled, next to those of eager.

    Attributes:
        eager_seconds (list[float]): Of the same rounds without compilation.
        compile_seconds (float): How much longer the first step took than the
            median of the later ones.
        graphs (int): Compiled graphs.
        graph_breaks (int): Places where Python runs between two graphs.
        loss_difference (float): Of the first step from eager's, relative.
    """

    eager_seconds: list[float] | None = None
    compile_seconds: float = 0.0
    graphs: int = 0
    graph_breaks: int = 0
    loss_difference: float = 0.0

    def describe(self) -> str:
        """Return the comparison in a few words."""
        ratio = paired_ratio(self.seconds, self.eager_seconds)
        return (
            '{:.3f} [{:.3f}, {:.3f}] of the time of eager'.format(*ratio)
            + f'; compiled in {self.compile_seconds:.1f} s; '
            f'{self.graphs} graphs, {self.graph_breaks} breaks; the first '
            f'loss differs by {self.loss_difference:.1e}'
        )


def compile_backbone(model: nn.Module, backend: str) -> None:
    """Compile both ways into a backbone at their first call.

    Args:
        model (nn.Module): A classifier or a segmentor, changed in place.
        backend (str): The backend of ``torch.compile``.
    """
    for name in ('forward', 'forward_with_tokens'):
        if method := getattr(model.backbone, name, None):
            compiled = torch.compile(method, backend=backend)
            setattr(model.backbone, name, compiled)


def measure_compiled(
    case: Case, form: str, device: str, rounds: int, warmup: int, backend: str
) -> CompiledRow:
    """Time a training step, compiled and eager in turn.

    Args:
        case (Case): The case.
        form (str): Key of ``FORMS``.
        device (str): The device.
        rounds (int): Timed steps.
        warmup (int): Steps before those, after the first one.
        backend (str): The backend of ``torch.compile``.
    """
    row = count(case, form, 'training')
    models = {
        name: build_model(case, form).to(device).train()
        for name in ('eager', 'compiled')
    }
    share_weights(models)
    torch.compiler.reset()
    counters.clear()
    compile_backbone(models['compiled'], backend)
    runs = {
        name: whole_step(model, case, device, FORMS[form].cached)
        for name, model in models.items()
    }
    with float32_products(case.precision):
        losses = {'eager': runs['eager']().item()}
        synchronize(device)
        start = CLOCKS['wall']()
        losses['compiled'] = runs['compiled']().item()
        first = CLOCKS['wall']() - start
        seconds = interleave(runs, rounds, warmup, device)
        peak = gpu_peak(runs['compiled'], device)
    difference = losses['compiled'] / losses['eager'] - 1
    return CompiledRow(
        case,
        f'{form} compiled',
        row.phase,
        row.flops,
        row.kept,
        row.peak if peak is None else peak,
        seconds['compiled'],
        matmul_rate(device, case.precision),
        eager_seconds=seconds['eager'],
        compile_seconds=first - spread(seconds['compiled'])[0],
        graphs=counters['stats']['unique_graphs'],
        graph_breaks=sum(counters['graph_break'].values()),
        loss_difference=abs(difference),
    )
