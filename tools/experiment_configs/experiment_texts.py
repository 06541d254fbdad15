"""The texts of the configs of the paper's classification experiments."""

import textwrap
from pathlib import Path

from experiment_tables import Experiment, Results, paper_line
from released_settings import NUM_LAYERS, Settings

ORIGIN = {
    'in21k': 'supervised on ImageNet-21k',
    'mae': 'MAE on ImageNet-1k',
    'moco-v3': 'MoCo v3 on ImageNet-1k',
}
NEEDS = {
    'in21k': 'ImageNet-21k weights',
    'mae': 'MAE weights',
    'moco-v3': 'MoCo v3 weights',
}
BODY = """
_base_ = [
    '../../_base_/weights/vit-b_{weights}.py',
    '../../{base}.py',
    '../../_base_/schedules/adamw_cosine_100e.py',
    '../../_base_/default_runtime_cls.py',
]
# ---- frequently modified ----
lr = {lr}
weight_decay = {weight_decay}  # of the prompts
head_weight_decay = {head_weight_decay}
token_weight = {token_weight}  # beta of eq. 5
cls_weight = {cls_weight}  # lambda of eq. 5
# ---- possibly modified ----
num_prompts = {num_prompts}  # of each layer
guided_layers = {guided_layers}  # from 0
# ---- unmodified in most cases ----
model = dict(
    backbone=dict(num_prompts=num_prompts),
    head=dict(num_classes=_base_.num_classes),
    guidance=dict(
        guided_layers=guided_layers,
        loss=dict(token_weight=token_weight, cls_weight=cls_weight),
    ),
)
custom_keys = {{
    'prompts': dict(decay_mult=weight_decay / _base_.decay_unit),
    'head.fc.weight': dict(decay_mult=head_weight_decay / _base_.decay_unit),
}}
optim_wrapper = dict(
    optimizer=dict(lr=lr), paramwise_cfg=dict(custom_keys=custom_keys)
)
"""
PLUS_BODY = """
_base_ = './{below}'

model = dict(backbone=dict(bias=('k', 'v')))
"""
BASE = """
_base_ = '../{suite}.py'

num_classes = {num_classes}
{key} = dict(dataset=dict({key}='{name}'))
train_dataloader = {key}
test_dataloader = {key}
protocols = dict(
    tune=dict(val_dataloader={key}), released=dict(val_dataloader={key})
)
"""


def leaf_text(
    results: Results, experiment: Experiment, weights: str, settings: Settings
) -> str:
    """Return the text of a DA-VPT config.

    Args:
        results (Results): The paper's numbers.
        experiment (Experiment): The data set.
        weights (str): 'in21k', 'mae' or 'moco-v3'.
        settings (Settings): The settings.
    """
    head = docstring(
        f'DA-VPT on {experiment.name}: ViT-B/16, {ORIGIN[weights]}.',
        experiment.leaf(weights, 'davpt'),
        paper_line(results, experiment, weights, 'davpt'),
        ours_line(experiment, weights),
        settings_lines(settings),
    )
    layers = ', '.join(map(str, settings.guided_layers))
    text = head + BODY.format(
        weights=weights,
        base=experiment.base,
        num_prompts=prompts_text(settings),
        guided_layers=f'({layers})' if ',' in layers else f'({layers},)',
        **{
            name: float(getattr(settings, name))
            for name in (
                'lr',
                'weight_decay',
                'head_weight_decay',
                'token_weight',
                'cls_weight',
            )
        },
    )
    if settings.batch_size != 32:
        text += f'train_dataloader = dict(batch_size={settings.batch_size})\n'
    return text


def plus_text(
    results: Results, experiment: Experiment, weights: str, settings: Settings
) -> str:
    """Return the text of a DA-VPT+ config; arguments as above."""
    head = docstring(
        f'DA-VPT+ on {experiment.name}: with K and V bias (section 3.5).',
        experiment.leaf(weights, 'davpt-plus'),
        paper_line(results, experiment, weights, 'davpt-plus'),
        ours_line(experiment, weights),
        plus_lines(settings),
    )
    below = Path(experiment.leaf(weights, 'davpt')).name
    return head + PLUS_BODY.format(below=below)


def vtab_base(task) -> str:
    """Return the text of the base config of a VTAB-1k task."""
    head = (
        f'"""VTAB-1k, {task.title}: {task.num_classes} classes, '
        f'{task.test_size:,} test images."""\n'
    )
    return head + BASE.format(
        suite='vtab1k',
        key='task',
        name=task.name,
        num_classes=task.num_classes,
    )


def fgvc_base(each) -> str:
    """Return the text of the base config of a fine-grained set."""
    sizes = ', '.join(
        f'{each.sizes[split]:,} {split}' for split in ('train', 'val', 'test')
    )
    head = f'"""{each.title}: {each.num_classes} classes; {sizes} images."""\n'
    return head + BASE.format(
        suite='fgvc', key='name', name=each.name, num_classes=each.num_classes
    )


def docstring(title: str, path: str, paper: str, ours: str, rest: str) -> str:
    """Lay out the head of a config."""
    command = f'Command: python tools/train.py configs/{path}'
    if len(command) > 79:
        command = f'Command: python tools/train.py \\\n    configs/{path}'
    parts = ['Hardware: one GPU.', f'Paper: {paper}', f'Ours: {ours}', rest]
    body = '\n'.join(
        textwrap.fill(part, 79, break_on_hyphens=False) for part in parts
    )
    return f'"""{title}\n\n{command}\n{body}\n"""\n'


def ours_line(experiment: Experiment, weights: str) -> str:
    """Say why there is no number of this package."""
    data = experiment.title if experiment.suite == 'fgvc' else 'VTAB-1k'
    return f'not run here, needs {NEEDS[weights]} and {data}.'


def settings_lines(settings: Settings) -> str:
    """Say where the settings come from, and what they leave out."""
    if not settings.released:
        return (
            'Settings: not in the released table. These are the middle of '
            "the paper's ranges (Table 5); tune them on the validation "
            'images (--protocol tune).'
        )
    sentences = [
        "the authors' released ones (configs/released_hparams.csv)",
        *settings.notes,
    ]
    if settings.left_out:
        sentences.append('Left out: ' + ', '.join(settings.left_out))
    return 'Settings: ' + '. '.join(sentences) + '.'


def plus_lines(settings: Settings) -> str:
    """Say how the released DA-VPT+ differs."""
    if not settings.released:
        return (
            'Settings: those of the config that it inherits from; tune them.'
        )
    return (
        'Settings: those of the config that it inherits from. The released '
        'code trains more than K and V bias, namely '
        + ', '.join(settings.left_out_plus)
        + '.'
    )


def prompts_text(settings: Settings) -> str:
    """Write the numbers of prompts of all layers as Python."""
    guided, other = settings.guided_prompts, settings.num_prompts
    first, above = settings.guided_layers[0], len(settings.guided_layers)
    if first + above != NUM_LAYERS:
        raise ValueError(
            'guided layers should end with the last, but got '
            f'{settings.guided_layers}'
        )
    if guided == other:
        return str(other)
    below = f'({other},) * {first} + ' if first else ''
    return f'{below}({guided},)' + (f' * {above}' if above > 1 else '')
