"""What the ablations compare: the rows of each study, and against what."""

from dataclasses import dataclass, field
from pathlib import Path

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'glyphs'

PROMPTS = 'model.backbone.num_prompts'
GUIDED = 'model.guidance.guided_layers'
LOSS = 'model.guidance.loss'
TOKEN, CLS = f'{LOSS}.token_weight', f'{LOSS}.cls_weight'
UNGUIDED = {'model.guidance': None}
BIAS = {'model.backbone.bias': ['k', 'v']}
FEW = {'train_dataloader.dataset.num_images': 62 * 5}
NO_VALIDATION = {
    'val_dataloader': None,
    'val_cfg': None,
    'val_evaluator': None,
}


@dataclass(frozen=True)
class Study:
    """Runs of one config that are compared.

    Attributes:
        title (str): Of its table.
        config (str): The file in ``configs/glyphs``.
        metric (str): Which of the test's metrics is shown, in percent.
        name (str): What that metric is called.
        rows (Dict[str, dict]): What each row changes of the config. The
            first is the base of all others.
        bases (Dict[str, str]): Base of the rows that have another one, so
            that guidance alone is the difference.
        common (dict): What is changed in all rows.
    """

    title: str
    config: str
    metric: str
    name: str
    rows: dict[str, dict]
    bases: dict[str, str] = field(default_factory=dict)
    common: dict = field(default_factory=dict)

    def base_of(self, row: str) -> str | None:
        """Return the row that a row is compared with, None for a base."""
        first = next(iter(self.rows))
        base = self.bases.get(row, first)
        return None if row in (first, *self.bases.values()) else base


PAPER = Study(
    title="Tables 4 and 7 of the paper's rows, on glyph classification",
    config='davpt_glyphs.py',
    metric='accuracy/top1',
    name='top-1',
    rows={
        'VPT (base)': UNGUIDED,
        'token': {CLS: 0},
        'cls': {TOKEN: 0},
        'token, cls (DA-VPT)': {},
        'bias': {**UNGUIDED, **BIAS},
        'token, bias': {CLS: 0, **BIAS},
        'cls, bias': {TOKEN: 0, **BIAS},
        'token, cls, bias (DA-VPT+)': {**BIAS},
        'DA-VPT+Conn': {'model.backbone.propagate': 'sum'},
        'DA-VPT+Gate': {'model.backbone.propagate': 'gate'},
        'DA-VPT (Proxy-NCA)': {f'{LOSS}.metric': dict(type='ProxyNCA')},
        'DA-VPT (triplet)': {f'{LOSS}.metric': dict(type='Triplet')},
        'DA-VPT (released code)': {f'{LOSS}.preset': 'released'},
    },
)

CAUSES = Study(
    title='When guidance changes anything, on glyph classification',
    config='davpt_glyphs.py',
    metric='accuracy/top1',
    name='top-1',
    rows={
        'VPT': UNGUIDED,
        'weights 0.005': {TOKEN: 0.005, CLS: 0.005},
        'weights 0.05 (config)': {},
        'weights 0.5': {TOKEN: 0.5, CLS: 0.5},
        'weights 5': {TOKEN: 5, CLS: 5},
        'first layer guided': {GUIDED: [0]},
        'middle layer guided': {GUIDED: [3]},
        'all layers guided': {GUIDED: [0, 1, 2, 3, 4, 5]},
        'prompts without W_q': {f'{LOSS}.prompt': 'input'},
        'VPT, 62 prompts': {**UNGUIDED, PROMPTS: 62},
        'DA-VPT, 62 prompts': {PROMPTS: 62},
        'VPT, 5 images per class': {**UNGUIDED, **FEW},
        'DA-VPT, 5 images per class': {**FEW},
    },
    bases={
        'DA-VPT, 62 prompts': 'VPT, 62 prompts',
        'DA-VPT, 5 images per class': 'VPT, 5 images per class',
    },
)

SCENES = Study(
    title='Labels of one random class or of all present ones, on scenes',
    config='setr_davpt_glyphs.py',
    metric='mIoU',
    name='mIoU',
    rows={
        'VPT': UNGUIDED,
        "labels='random'": {},
        "labels='present'": {
            'model.guidance.labels': 'present',
            f'{LOSS}.token': 'patch_output',
        },
    },
    common=NO_VALIDATION,
)

STUDIES = {'paper': PAPER, 'causes': CAUSES, 'scenes': SCENES}
