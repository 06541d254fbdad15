"""What the released hyper-parameters mean here: one rule for each column.

The table, ``configs/released_hparams.csv``, has the 61 configurations of the
authors' code. A blank cell is a key that their file lacks; their code then
takes the default of its ``params.py``, and so do the rules here.
"""

import csv
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
NUM_LAYERS = 12  # of a ViT-B

#: Weights here -> ``backbone`` in the table.
WEIGHTS = {'in21k': 'sup', 'mae': 'mae', 'moco-v3': 'moco'}

#: Of the released ``params.py``.
DEFAULTS = dict(
    lr='0.001',
    weight_decay='0.01',
    wd_head='3.0',
    num_prompts='20',
    proxy_prompt_len='10',
    proxy_prompt_start_idx='11',
    proxy_prompt_end_idx='11',
    vpt_loss_weight='0.0',
    cls_loss_weight='0.0',
    loss_vpt_scale_ratio='1.0',
    drop_path='0.0',
    dynamic_kmeans='0',
    vpt_norm='none',
    batch_size='32',
)

#: The weight that most rows give each guidance term: 41 and 33 of 61.
USUAL_WEIGHT = 0.01


class Settings(NamedTuple):
    """The settings of one experiment, in this package's terms.

    Attributes:
        released (bool): Whether the released table has the experiment.
        lr (float): The learning rate.
        weight_decay (float): Of the prompts.
        head_weight_decay (float): Of the head's weight.
        num_prompts (int): Of each unguided layer.
        guided_prompts (int): Of each guided layer.
        guided_layers (Tuple[int, ...]): From 0.
        token_weight (float): Beta of eq. 5.
        cls_weight (float): Lambda of eq. 5.
        batch_size (int): Images in a batch.
        notes (List[str]): What is not taken as it stands, as sentences.
        left_out (List[str]): Released settings of this experiment that have
            no equivalent here; those of all are in the READMEs.
        left_out_plus (List[str]): What the released code trains besides
            prompts, head and K and V bias.
    """

    released: bool
    lr: float
    weight_decay: float
    head_weight_decay: float
    num_prompts: int
    guided_prompts: int
    guided_layers: Tuple[int, ...]
    token_weight: float
    cls_weight: float
    batch_size: int = 32
    notes: List[str] = []
    left_out: List[str] = []
    left_out_plus: List[str] = []


#: For experiments that the table lacks: the middle of the paper's ranges
#: (Table 5), the last layer ("optimal in most cases", section 5.3.2), about
#: 20 prompts (section 5.1), and the weights that most released rows have.
UNRELEASED = Settings(
    released=False,
    lr=5e-4,
    weight_decay=0.05,
    head_weight_decay=0.05,
    num_prompts=20,
    guided_prompts=20,
    guided_layers=(NUM_LAYERS - 1,),
    token_weight=USUAL_WEIGHT,
    cls_weight=USUAL_WEIGHT,
)


def read_released() -> Dict[Tuple[str, str, str], Dict[str, str]]:
    """Read the released table.

    Returns:
        Dict[Tuple[str, str, str], Dict[str, str]]: (suite, backbone, task) to
        the cells of its row.
    """
    with open(CONFIGS / 'released_hparams.csv', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    return {(row['suite'], row['backbone'], row['task']): row for row in rows}


def settings_of(
    table: Dict[Tuple[str, str, str], Dict[str, str]],
    suite: str,
    weights: str,
    task: str,
) -> Settings:
    """Return the settings of an experiment.

    Args:
        table (Dict): As :func:`read_released` returns it.
        suite (str): 'vtab' or 'fgvc'.
        weights (str): A key of ``WEIGHTS``.
        task (str): The task, as the table names it.
    """
    row = table.get((suite, WEIGHTS[weights], task))
    if row is None:
        return UNRELEASED
    cells = {key: row[key] or DEFAULTS.get(key, '') for key in row}
    first = int(cells['proxy_prompt_start_idx'])
    last = int(cells['proxy_prompt_end_idx'])
    notes = []
    if cells['proxy_prompt_depth'] not in ('', str(last + 1 - first)):
        notes.append(
            f'Guided are the layers {first} to {last}, since the released '
            'code ignores the '
            f'proxy_prompt_depth={cells["proxy_prompt_depth"]} of the row'
        )
    token_weight = float(cells['vpt_loss_weight'])
    cls_weight = float(cells['cls_loss_weight'])
    if token_weight == cls_weight == 0:
        token_weight = cls_weight = USUAL_WEIGHT
        notes.append(
            'The row has no guidance weights, so that the released code '
            f'guides nothing; here they are {USUAL_WEIGHT:g}, as in most rows'
        )
    return Settings(
        released=True,
        lr=float(cells['lr']),
        weight_decay=float(cells['weight_decay']),
        head_weight_decay=float(cells['wd_head']),
        num_prompts=int(cells['num_prompts']),
        guided_prompts=int(cells['proxy_prompt_len']),
        guided_layers=tuple(range(first, last + 1)),
        token_weight=token_weight,
        cls_weight=cls_weight,
        batch_size=int(cells['batch_size']),
        notes=notes,
        left_out=_left_out(cells),
        left_out_plus=_left_out_plus(cells),
    )


def _left_out(cells: Dict[str, str]) -> List[str]:
    """Name what of a row has no equivalent here."""
    names = []
    scale = float(cells['loss_vpt_scale_ratio'])
    if scale != 1:
        names.append(
            f'prompts scaled by {scale:g} in the guidance'
            + (' (which turns it off)' if scale == 0 else '')
        )
    if cells['vpt_norm'] != 'none':
        names.append(f'{cells["vpt_norm"]}-normalised prompts')
    if float(cells['drop_path']) > 0:
        names.append(f'drop path {float(cells["drop_path"]):g}')
    if int(cells['dynamic_kmeans']) > 1:
        names.append(f're-mapping from epoch {cells["dynamic_kmeans"]} only')
    return names


def _left_out_plus(cells: Dict[str, str]) -> List[str]:
    """Name what the released code trains besides what the paper says."""
    names = {
        'bias_q': 'the q bias',
        'bias_proj': 'the biases of attention projections',
        'bias_fc2': 'of fc2',
        'bias_norm2': 'of second norms',
        'norm_norm1': 'the first norms',
        'train_cls': 'the [CLS] token',
    }
    return [text for key, text in names.items() if cells[key] == 'true']
