"""Compare this package's methods with other libraries, on one ViT.

``python benchmarks/peers.py`` counts and times a training step and inference
of each method in turn in one process; ``--count-only`` runs nothing. Rows of
libraries that are not installed are left out, with the reason. ``--accuracy
FOLDER`` trains on a folder of images instead, and prints the processor time
until the validation accuracy reaches each target.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from torch import nn  # noqa: E402

from benchmarks.speed import accuracy, report  # noqa: E402
from benchmarks.speed.accuracy import Curve  # noqa: E402
from benchmarks.speed.cases import adopt_weights  # noqa: E402
from benchmarks.speed.measuring import (  # noqa: E402
    PASSES,
    Row,
    check_agreement,
    count_models,
    time_rows,
)
from benchmarks.speed.peers import (  # noqa: E402
    Method,
    Setting,
    our_methods,
    peer_methods,
    shared_name,
    trained_parameters,
)
from benchmarks.speed.timing import (  # noqa: E402
    CLOCKS,
    matmul_rate,
    paired_ratio,
)
from mmdavpt.cli.messages import exit_with_sentence  # noqa: E402
from mmdavpt.errors import UsageError  # noqa: E402

#: The row that the others' times are divided by.
REFERENCE = 'vpt'
PUBLISHED = 'VPT as published'
#: Rows of the same method, ours first.
PAIRS = [
    ('linear', 'timm, linear'),
    ('bias', 'timm, bias'),
    ('full', 'timm, full'),
    ('lora', 'peft, LoRA'),
    ('lora', 'adapter_plus, LoRA'),
    ('Adapter', 'adapter_plus, Adapter+'),
    ('vpt', 'adapter_plus, VPT'),
    ('vpt', PUBLISHED),
]
MIB = 2**20


@dataclass
class Costs:
    """The costs of a method.

    Attributes:
        name (str): Its name.
        package (str): Its library.
        parameters (int): Numbers that train, with the head.
        training (Row): A training step.
        inference (Row): Inference, folded if the method folds.
        unfolded (int | None): Operations of inference before folding; None
            if the method does not fold.
    """

    name: str
    package: str
    parameters: int
    training: Row
    inference: Row
    unfolded: int | None = None


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add('--model', default='vit-b', help='vit- and an architecture')
    add('--rows', nargs='+', default=['*'], help='names or globs of rows')
    add('--prompts', type=int, default=20)
    add('--batch', type=int, default=2)
    add('--size', type=int, default=224, help='pixels')
    add('--classes', type=int, default=100)
    add('--precision', choices=['fp32', 'bf16'], default='fp32')
    add('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    add('--rounds', type=int, default=7)
    add('--warmup', type=int, default=1, help='rounds that do not count')
    add('--clock', choices=list(CLOCKS), default='wall')
    add('--count-only', action='store_true', help='take no times')
    add('--out', type=Path, metavar='FILE.json', help='file for the figures')
    group = parser.add_argument_group('time to an accuracy')
    add = group.add_argument
    add('--accuracy', type=Path, metavar='FOLDER', help='a folder of images')
    add('--weights', help='a file of a ViT with the names of timm')
    add('--train', default='train', help='folder of training images')
    add('--epochs', type=int, default=12)
    add('--lr', nargs='+', default=[], metavar='ROW=RATE')
    add('--targets', nargs='+', type=float, default=[0.5, 0.6, 0.7])
    add('--seed', type=int, default=0)
    return parser.parse_args(argv)


def choose(patterns: Sequence[str]) -> tuple[list[Method], dict[str, str]]:
    """Return the methods that can run here, and why others cannot.

    Args:
        patterns (Sequence[str]): Names or globs.

    Raises:
        UsageError: If no method has such a name.
    """
    ours, reasons = our_methods()
    chosen = []
    for method in [*ours, *peer_methods()]:
        if not any(fnmatchcase(method.name, p) for p in patterns):
            continue
        try:
            method.check()
        except UsageError as error:
            reasons[method.name] = str(error)
        else:
            chosen.append(method)
    if not chosen:
        names = [m.name for m in [*ours, *peer_methods()]]
        raise UsageError(
            f'no row that can run here is called {" or ".join(patterns)}; '
            f'the names are {", ".join(names)}'
        )
    return chosen, reasons


def count(method: Method, setting: Setting) -> Costs:
    """Count both passes of a method, without running them.

    Args:
        method (Method): The method.
        setting (Setting): The setting.
    """
    model = method.build(setting)
    parameters = trained_parameters(model)
    models = dict(training=model, inference=fold(method, model.eval()))
    folds = models['inference'] is not model
    if folds:
        models['unfolded'] = model
    counted = count_models(models, setting)
    unfolded = counted.pop('unfolded')['flops'] if folds else None
    rows = {
        phase: Row(setting, method.name, phase, seconds=[], **costs)
        for phase, costs in counted.items()
    }
    return Costs(
        method.name, method.package, parameters, **rows, unfolded=unfolded
    )


def fold(method: Method, model: nn.Module) -> nn.Module:
    """Return the model for inference, which may be the same."""
    return model if method.fold is None else method.fold(model)


def measure(
    methods: Sequence[Method],
    setting: Setting,
    device: str,
    rounds: int,
    warmup: int,
    clock: str,
) -> tuple[list[Costs], dict[str, str]]:
    """Count all methods, and time them in turn.

    Args:
        methods (Sequence[Method]): The methods.
        setting (Setting): The setting.
        device (str): The device.
        rounds (int): Timed steps of each method; 0 only counts.
        warmup (int): Steps before those.
        clock (str): Key of ``CLOCKS``.

    Returns:
        tuple[list[Costs], dict[str, str]]: Their costs; and the methods that
        cannot train like this, with the reason.

    Raises:
        UsageError: If the published VPT and ours give different outputs.
    """
    found, left_out = [], {}
    for method in methods:
        try:
            found.append(count(method, setting))
        except UsageError as error:
            left_out[method.name] = str(error)
    if not rounds:
        return found, left_out
    methods = [m for m in methods if m.name not in left_out]
    models, pool = {}, {}
    for method in methods:  # one by one, to hold the frozen weights once
        model = method.build(setting).to(device)
        adopt_weights(model, pool, shared_name)
        models[method.name] = model
    check_published(models, setting, device)
    rate = matmul_rate(device, setting.precision, clock)
    for phase in PASSES:
        if phase == 'inference':
            for method in methods:
                model = models[method.name].eval()
                models[method.name] = fold(method, model)
        rows = [getattr(costs, phase) for costs in found]
        time_rows(rows, models, device, rounds, warmup, clock)
        for row in rows:
            row.matmul = rate
    return found, left_out


def check_published(
    models: Mapping[str, nn.Module], setting: Setting, device: str
) -> None:
    """Check that the published VPT and ours compute the same function.

    Args:
        models (Mapping[str, nn.Module]): Names to models that share weights.
        setting (Setting): The setting.
        device (str): Their device.

    Raises:
        UsageError: If outputs differ by more than rounding.
    """
    forms = dict(concatenated=PUBLISHED, vpt='vpt')
    if {*forms.values()} <= models.keys():
        pair = {form: models[name] for form, name in forms.items()}
        check_agreement(pair, setting, device)


def to_markdown(found: Sequence[Costs]) -> str:
    """Return one table of all costs.

    Args:
        found (Sequence[Costs]): One per method.
    """
    timed = bool(found[0].training.seconds)
    references = {c.name: c for c in found}
    reference = references.get(REFERENCE, found[0])
    lines = [
        'row | library | trained | GFLOP/image | kept MiB/image | peak MiB'
        ' | inference, GFLOP/image | folded'
    ]
    if timed:
        name = reference.name
        lines[0] += f' | time / {name} | inference time / {name}'
    lines.append(' | '.join(['---'] * (lines[0].count('|') + 1)))
    for costs in found:
        step, use = costs.training, costs.inference
        batch = step.case.batch
        cells = [
            costs.name,
            costs.package,
            f'{costs.parameters:,}',
            f'{step.flops / batch / 1e9:.2f}',
            f'{step.kept / batch / MIB:.1f}',
            f'{step.peak / MIB:,.0f}',
        ]
        flops = [use.flops, None]
        if costs.unfolded is not None:
            flops = [costs.unfolded, use.flops]
        cells += ['' if f is None else f'{f / batch / 1e9:.2f}' for f in flops]
        for phase in PASSES if timed else ():
            row, other = getattr(costs, phase), getattr(reference, phase)
            ratio, low, high = paired_ratio(row.seconds, other.seconds)
            cells.append(f'{ratio:.3f} [{low:.3f}, {high:.3f}]')
        lines.append(' | '.join(cells))
    return '\n'.join(f'| {line} |' for line in lines)


def pairs_to_markdown(found: Sequence[Costs]) -> str:
    """Return a table of our costs divided by those of peers.

    Ratios of times are taken within rounds.

    Args:
        found (Sequence[Costs]): One per method; all of them timed.
    """
    by_name = {costs.name: costs for costs in found}
    lines = [
        ['ours / theirs', 'operations', 'kept bytes']
        + [f'time of {phase}' for phase in PASSES],
        ['---'] * 5,
    ]
    for names in PAIRS:
        if not {*names} <= by_name.keys():
            continue
        ours, theirs = (by_name[name] for name in names)
        cells = [' / '.join(names)]
        for key in ('flops', 'kept'):
            new, old = (getattr(c.training, key) for c in (ours, theirs))
            cells.append(f'{new / old:.3f}')
        for phase in PASSES:
            new, old = (getattr(c, phase).seconds for c in (ours, theirs))
            ratio, low, high = paired_ratio(new, old)
            cells.append(f'{ratio:.3f} [{low:.3f}, {high:.3f}]')
        lines.append(cells)
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)


def curves_to_markdown(
    curves: Sequence[Curve], targets: Sequence[float]
) -> str:
    """Return a table of seconds until each accuracy.

    Args:
        curves (Sequence[Curve]): One per method.
        targets (Sequence[float]): Accuracies, from 0 to 1.
    """
    head = ['row', 'trained', 'lr', *(f's to {t:.0%}' for t in targets)]
    lines = [[*head, 's in all', 'best', 'last']]
    lines.append(['---'] * len(lines[0]))
    for curve in curves:
        times = [curve.time_to(target) for target in targets]
        cells = [curve.name, f'{curve.parameters:,}', f'{curve.lr:.1e}']
        cells += ['never' if t is None else f'{t:.1f}' for t in times]
        cells.append(f'{curve.seconds[-1]:.1f}')
        shares = (max(curve.accuracy), curve.accuracy[-1])
        lines.append([*cells, *(f'{share:.1%}' for share in shares)])
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)


def read_rates(given: Sequence[str]) -> dict[str, float]:
    """Return learning rates by rows.

    Args:
        given (Sequence[str]): Such as 'lora=3e-3'.

    Raises:
        UsageError: If one has another form.
    """
    rates = {}
    for text in given:
        name, _, rate = text.rpartition('=')
        try:
            rates[name] = float(rate)
        except ValueError:
            raise UsageError(
                f'--lr should be ROW=RATE, such as lora=3e-3, but got {text}'
            ) from None
    return rates


def main(argv: Sequence[str] | None = None) -> None:
    """Print a table, and write the figures to ``--out``."""
    args = parse_args(argv)
    with exit_with_sentence():
        methods, left_out = choose(args.rows)
        setting = Setting(
            args.model,
            args.prompts,
            args.batch,
            args.size,
            args.classes,
            precision=args.precision,
            weights=args.weights,
        )
        machine = report.machine(args.device)
        about = dict(left_out=left_out, versions=versions_of(methods))
        if args.accuracy is not None:
            race = accuracy.race(
                methods,
                setting,
                args.accuracy,
                args.train,
                args.epochs,
                read_rates(args.lr),
                args.seed,
                args.device,
            )
            for curves in race:  # a row per epoch, in case of a stop
                print(curves_to_markdown(curves, args.targets), flush=True)
                write(args.out, machine, about, curves)
            return
        found, more = measure(
            methods,
            setting,
            args.device,
            0 if args.count_only else args.rounds,
            args.warmup,
            args.clock,
        )
        left_out |= more
        print(to_markdown(found))
        if not args.count_only:
            print('\n' + pairs_to_markdown(found))
        for name, reason in left_out.items():
            print(f'left out: {name}: {reason}')
        write(args.out, dict(machine, clock=args.clock), about, found)


def write(path: Path | None, machine: dict, about: dict, rows: list) -> None:
    """Write all figures as JSON.

    Args:
        path (Path | None): The file; None for no file.
        machine (dict): Facts about the machine.
        about (dict): Facts about the libraries.
        rows (list): Dataclasses.
    """
    if path is not None:
        content = dict(machine=machine, **about, rows=[*map(asdict, rows)])
        path.write_text(json.dumps(content, indent=1) + '\n')


def versions_of(methods: Sequence[Method]) -> dict[str, str]:
    """Return the versions of the libraries of methods, and of timm.

    Args:
        methods (Sequence[Method]): The methods.
    """
    found = {}
    for name in sorted({'timm', *(m.package for m in methods)}):
        module = importlib.import_module(name)
        found[name] = getattr(module, '__version__', None) or (
            metadata.version(name)
        )
    return found


if __name__ == '__main__':
    main()
