"""Count and time all forms of a case."""

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from mmdavpt.errors import UsageError

from .cases import (
    Case,
    build_model,
    inference_step,
    share_weights,
    training_step,
)
from .counting import count_inference, count_training
from .forms import FORMS
from .timing import float32_products, gpu_peak, interleave, matmul_rate

PASSES = ('training', 'inference')


@dataclass
class Row:
    """The costs of one form in one pass; bytes and FLOPs are per batch.

    Attributes:
        case (Case): The case.
        form (str): Key of ``FORMS``.
        phase (str): 'training' or 'inference'.
        flops (int): See :func:`.counting.count_flops`.
        kept (int): Bytes kept for backward; 0 at inference.
        peak (int): Peak bytes without weights and optimizer state, from the
            allocator on a GPU, else from :class:`.LiveBytes`.
        seconds (list[float]): Of each round; empty if not timed.
        matmul (float | None): Operations per second of a large matrix
            product.
    """

    case: Case
    form: str
    phase: str
    flops: int
    kept: int
    peak: int
    seconds: list[float]
    matmul: float | None = None

    def to_dict(self) -> dict:
        """Return the row as JSON-serializable values."""
        return asdict(self)


def count(case: Case, form: str, phase: str) -> Row:
    """Count a pass without running it, on fake tensors of a CPU.

    This takes about a second for a ViT-L, and no memory.

    Args:
        case (Case): The case.
        form (str): Key of ``FORMS``.
        phase (str): 'training' or 'inference'.
    """
    # The accuracy in a segmentor's log selects pixels by their values.
    with FakeTensorMode(shape_env=ShapeEnv()):
        model = build_model(case, form)
        costs = _count_pass(model, case, phase, FORMS[form].cached)
    return Row(case, form, phase, seconds=[], **costs)


def _count_pass(
    model: nn.Module, case: Case, phase: str, cached: bool = False
) -> dict[str, int]:
    if phase == 'training':
        step = training_step(model.train(), case, 'cpu', cached)
        return count_training(*step)
    return count_inference(inference_step(model.eval(), case, 'cpu'))


def count_models(
    models: Mapping[str, nn.Module], case: Case
) -> dict[str, dict[str, int]]:
    """Count passes of models that exist, which lose their values.

    Some libraries read values when they build a model, which fake tensors
    do not have.

    Args:
        models (Mapping[str, nn.Module]): From 'training', or any name of
            inference, to a model. It may be the same one.
        case (Case): The case.

    Returns:
        dict[str, dict[str, int]]: For each pass ``flops``, ``kept`` and
        ``peak``.
    """
    mode = FakeTensorMode(shape_env=ShapeEnv(), static_shapes=True)
    for module in {m for model in models.values() for m in model.modules()}:
        for values in (module._parameters, module._buffers, vars(module)):
            for name, value in values.items():
                if isinstance(value, Tensor):
                    values[name] = _to_fake(value, mode)
    found = {}
    with mode:
        for phase, model in models.items():
            # PyTorch's counter of operations fails on parameters as inputs.
            if phase != 'training':
                model.requires_grad_(False)
            found[phase] = _count_pass(model, case, phase)
    return found


def _to_fake(value: Tensor, mode: FakeTensorMode) -> Tensor:
    if value.ndim or isinstance(value, nn.Parameter):
        return mode.from_tensor(value)
    number = value.item()  # such as a flag, which a model may read
    with mode:
        return torch.tensor(number, dtype=value.dtype)


def measure(
    case: Case,
    forms: Sequence[str],
    device: str,
    rounds: int,
    warmup: int,
    phases: Sequence[str] = PASSES,
    clock: str = 'wall',
) -> list[Row]:
    """Count all forms, and time them in turn.

    Args:
        case (Case): The case.
        forms (Sequence[str]): Keys of ``FORMS``.
        device (str): The device.
        rounds (int): Timed steps per form; 0 only counts.
        warmup (int): Steps before those.
        phases (Sequence[str]): Out of 'training' and 'inference'.
            Defaults to both.
        clock (str): Key of ``CLOCKS``. Defaults to 'wall'.

    Returns:
        list[Row]: One row per phase and form.

    Raises:
        UsageError: If forms that should agree give different outputs.
    """
    rows = [count(case, form, phase) for phase in phases for form in forms]
    if not rounds:
        return rows
    models = {form: build_model(case, form).to(device) for form in forms}
    share_weights(models)
    check_agreement(models, case, device)
    rate = matmul_rate(device, case.precision, clock)
    for phase in phases:
        chosen = [row for row in rows if row.phase == phase]
        time_rows(chosen, models, device, rounds, warmup, clock)
        for row in chosen:
            row.matmul = rate
    return rows


def time_rows(
    rows: Sequence[Row],
    models: Mapping[str, nn.Module],
    device: str,
    rounds: int,
    warmup: int,
    clock: str = 'wall',
) -> None:
    """Time one pass of all models in turn, and set the times of its rows.

    Args:
        rows (Sequence[Row]): One per model, all of one case and pass.
        models (Mapping[str, nn.Module]): From the rows' forms.
        device (str): The device.
        rounds (int): Timed steps per model.
        warmup (int): Steps before those.
        clock (str): Key of ``CLOCKS``. Defaults to 'wall'.
    """
    runs = {}
    for row in rows:
        model = models[row.form]
        if row.phase == 'training':
            cached = row.form in FORMS and FORMS[row.form].cached
            run = whole_step(model.train(), row.case, device, cached)
        else:
            run = inference_step(model.eval(), row.case, device)
        runs[row.form] = run
    with float32_products(rows[0].case.precision):
        seconds = interleave(runs, rounds, warmup, device, clock)
        for row in rows:
            row.seconds = seconds[row.form]
            peak = gpu_peak(runs[row.form], device)
            row.peak = row.peak if peak is None else peak
    runs.clear()
    gc.collect()


def whole_step(
    model: nn.Module, case: Case, device: str, cached: bool
) -> Callable[[], Tensor]:
    """Return a training step, which returns its loss.

    Args:
        model (nn.Module): See :func:`.training_step`, as for all others.
    """
    forward, rest = training_step(model, case, device, cached)

    def step() -> Tensor:
        loss = forward()
        rest(loss)
        return loss.detach()

    return step


def check_agreement(models: dict[str, nn.Module], case: Case, device: str):
    """Check that the published form and the prefix compute the same function.

    Args:
        models (dict[str, nn.Module]): Form to model, with shared weights.
        case (Case): The case.
        device (str): Their device.

    Raises:
        UsageError: If outputs differ by more than rounding.
    """
    if 'concatenated' not in models:
        return
    fp32 = replace(case, precision='fp32', batch=1)
    expected = inference_step(models['concatenated'].eval(), fp32, device)()
    for form in ('vpt', 'davpt', 'vpt-checkpoint'):
        if form not in models:
            continue
        out = inference_step(models[form].eval(), fp32, device)()
        error = (_tensor(out) - _tensor(expected)).abs().max()
        if error > 1e-3 * _tensor(expected).abs().max():
            raise UsageError(
                f'{form} and the concatenated form should give the same '
                f'outputs, but they differ by {error:.1e}; the prefix is '
                'broken, see tests/test_models/test_backbones'
            )


def _tensor(out) -> torch.Tensor:
    return out[0] if isinstance(out, (tuple, list)) else out
