"""``mmdavpt select`` and the trainings around it, in both tasks."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmdavpt.checkpoints import read_run_checkpoint
from mmdavpt.checkpoints.tuned import FINGERPRINT
from mmdavpt.cli import select, test, train
from mmdavpt.cli.messages import run_command

from .. import toy
from ..test_checkpoints.runs import pretrained

TOOLS = Path(__file__).parents[2] / 'tools'
SPT = dict(type='SPT', budget=500, rank=2)
E2VPT = dict(type='E2VPT', num_tokens=2, prune_tokens=0.4, prune_pieces=0.3)
FIRST, LAST = 'model.backbone.tuners.0', 'model.backbone.tuners.1'


def write_config(folder, task, tuners, **changes):
    """Write the config of a run with pre-trained weights."""
    weights = pretrained(folder / 'vit.pth')
    changes = {
        'model.backbone.init_cfg': dict(type='Pretrained', checkpoint=weights),
        'model.backbone.tuners': tuners,
        'default_hooks.checkpoint.tuned_only': True,
        **changes,
    }
    cfg = getattr(toy, task)(folder / 'run', changes)
    cfg.update(
        test_dataloader=cfg['val_dataloader'],
        test_evaluator=cfg['val_evaluator'],
        test_cfg={},
    )
    Config(cfg).dump(folder / f'{task}.py')
    return str(folder / f'{task}.py')


def checkpoints(folder, task):
    names = ('epoch_1', 'epoch_2')
    if task == 'segmentation':
        names = ('iter_2', 'iter_4')
    return [str(folder / f'{name}.pth') for name in names]


def state(path):
    return read_run_checkpoint(path)['state_dict']


def failure(command, arguments, capsys):
    with pytest.raises(SystemExit):
        run_command(command, arguments)
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    'task',
    ['classification', pytest.param('segmentation', marks=pytest.mark.slow)],
)
def test_both_methods_in_one_model(task, tmp_path, capsys):
    """Select for SPT, train, prune, train again, resume and test."""
    config = write_config(tmp_path, task, [SPT, E2VPT])
    assert 'mmdavpt select' in failure(train, [config], capsys)
    spt, pruned = str(tmp_path / 'spt.pth'), str(tmp_path / 'pruned.pth')
    dumped = tmp_path / 'run' / Path(config).name
    dumped.write_text('# of the training')
    run_command(select, [config, spt])
    assert dumped.read_text() == '# of the training'
    chosen = state(spt)
    run_command(select, [config, spt])  # the same again
    assert all(torch.equal(v, state(spt)[k]) for k, v in chosen.items())

    options = ['--cfg-options', f'{FIRST}.selection={spt}']
    run_command(train, [config, *options])
    early, late = checkpoints(tmp_path / 'run', task)
    learnt = state(late)
    values = [
        k
        for k in learnt
        if '.values.' in k or '.low_rank.' in k and k.endswith('.2.weight')
    ]
    assert values and all(learnt[k].any() for k in values)
    assert (
        0
        < sum(v.numel() for k, v in learnt.items() if '.SPT.values.' in k)
        + sum(v.numel() for k, v in learnt.items() if '.low_rank.' in k)
        <= 500
    )
    assert FINGERPRINT in learnt and not any('.layers.' in k for k in learnt)

    message = failure(select, [config, pruned, *options], capsys)
    assert '--checkpoint' in message and 'randomness.seed' in message
    run_command(select, [config, pruned, '--checkpoint', late, *options])
    masks = {k: v for k, v in state(pruned).items() if '.mask' in k}
    kept = [sorted(mask.sum(1).tolist()) for mask in masks.values()]
    assert kept == [[0, 24, 24]] * 2

    again = tmp_path / 'again'
    options += [f'{LAST}.selection={pruned}']
    run_command(train, [config, '--work-dir', str(again), *options])
    early, last = checkpoints(again, task)
    whole = state(last)
    assert all(torch.equal(whole[k], v) for k, v in masks.items())
    for mask, (k, v) in zip(
        masks.values(),
        ((k, v) for k, v in whole.items() if '.prompts.' in k),
        strict=True,
    ):
        # Weight decay only shrinks what is pruned.
        pruned_values, first = v[~mask], state(early)[k][~mask]
        ratio = pruned_values / first
        assert torch.allclose(ratio, ratio[0], rtol=1e-5), k
        assert not torch.allclose(v[mask], learnt[k][mask]), k

    resumed = tmp_path / 'resumed'
    run_command(
        train,
        [config, '--work-dir', str(resumed), '--resume', early, *options],
    )
    found = state(checkpoints(resumed, task)[1])
    assert found.keys() == whole.keys()
    assert all(torch.equal(found[k], v) for k, v in whole.items())

    Path(spt).unlink()
    Path(pruned).unlink()
    message = failure(test, [config, last, *options], capsys)
    assert 'a checkpoint trained with it' in message
    capsys.readouterr()
    run_command(
        test,
        [config, last, '--cfg-options']
        + [f'{place}.selection={last}' for place in (FIRST, LAST)],
    )
    assert ('mIoU' if task == 'segmentation' else 'top-1') in (
        capsys.readouterr().out.splitlines()[-1]
    )


def test_rewinding_starts_from_the_same_values(tmp_path, capsys):
    """With a learning rate of 0, both trainings keep what they start from."""
    config = write_config(
        tmp_path,
        'classification',
        [E2VPT],
        **{
            'optim_wrapper.optimizer.lr': 0.0,
            'optim_wrapper.optimizer.weight_decay': 0.0,
        },
    )
    run_command(train, [config])
    last = checkpoints(tmp_path / 'run', 'classification')[1]
    pruned = str(tmp_path / 'pruned.pth')
    other = ['--cfg-options', 'randomness.seed=1']
    arguments = [config, pruned, '--checkpoint', last]
    message = failure(select, [*arguments, *other], capsys)
    assert 'of a training with the randomness.seed of the config' in message
    run_command(select, arguments)
    options = ['--cfg-options', f'{FIRST}.selection={pruned}']
    run_command(
        train, [config, '--work-dir', str(tmp_path / 'again'), *options]
    )
    again = state(checkpoints(tmp_path / 'again', 'classification')[1])
    for name, value in state(last).items():
        if 'prompts' in name or 'tokens' in name or 'head' in name:
            assert torch.equal(again[name], value), name


def test_the_script_and_the_number_of_batches(tmp_path):
    config = write_config(tmp_path, 'classification', [SPT])
    one, default = tmp_path / 'one.pth', tmp_path / 'default.pth'
    script = [sys.executable, TOOLS / 'select_parameters.py']
    subprocess.run([*script, config, one, '--batches', '1'], check=True)
    run_command(select, [config, str(default)])
    one, default = state(str(one)), state(str(default))
    assert one.keys() != default.keys() or not all(
        torch.equal(v, default[k]) for k, v in one.items()
    )


def test_a_config_without_such_tuners(tmp_path, capsys):
    config = write_config(tmp_path, 'classification', [dict(type='LoRA')])
    arguments = [config, str(tmp_path / 'x.pth')]
    arguments += ['--cfg-options', 'launcher=pytorch']  # one process is enough
    message = failure(select, arguments, capsys)
    assert 'no tuner to select for: add SPT' in message
    message = failure(select, [config, f'{config}/x.pth'], capsys)
    assert '/x.pth cannot be written' in message
