"""``mmdavpt search``: studies that prune, share trials and continue."""

import itertools
import json
import multiprocessing
import os
import re
import shlex
import signal
import sys
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mmdavpt.cli import experiment, options, search, train
from mmdavpt.cli.folder_config import write_config
from mmdavpt.cli.messages import run_command
from mmdavpt.registry import DATASETS
from mmdavpt.shipped import CONFIGS
from tests import toy

from .test_folder_config import WEIGHTS, write_photos

optuna = pytest.importorskip('optuna')
study_module = pytest.importorskip('mmdavpt.cli.search_study')
BEST = 'work/toy/toy/seed_0/best'
LR = 'optim_wrapper.optimizer.lr'
SPACE = {
    LR: dict(low=1e-4, high=0.1, log=True),
    'model.guidance.guided_layers': dict(choices=['(-1,)', '(0, 1)']),
    'prompts': dict(choices=[2, 3, 4]),
}


@pytest.fixture
def config(tmp_path):
    """Return a function that writes a toy config with changes."""

    def write(**changes):
        cfg = toy.classification(tmp_path / 'unused')
        del cfg['work_dir'], cfg['experiment_name']
        cfg['train_cfg'] = dict(max_epochs=4, val_interval=1, by_epoch=True)
        # Reading these images would fail.
        missing = dict(type='mmdavpt.ImageFolder', data_root='missing')
        cfg['test_dataloader'] = dict(cfg['val_dataloader'], dataset=missing)
        cfg['test_evaluator'], cfg['test_cfg'] = cfg['val_evaluator'], {}
        cfg.update(changes)
        lines = [f'{key} = {value!r}\n' for key, value in cfg.items()]
        lines[0] += 'prompts = 3\n'
        text = ''.join(lines).replace(
            "'num_prompts': 3", "'num_prompts': prompts"
        )
        (tmp_path / 'toy.py').write_text(text)

    write()
    return write


@pytest.fixture
def command(tmp_path, config):
    """Return the command, with the toy config and space."""
    space = tmp_path / 'space.json'
    space.write_text(json.dumps(SPACE))

    def run(*flags, work='work'):
        paths = ['--space', str(space), '--work-dir', str(tmp_path / work)]
        return run_command(search, [str(tmp_path / 'toy.py'), *paths, *flags])

    return run


@pytest.fixture
def read(tmp_path):
    """Return a function that reads ``study.json``."""

    def read(work='work'):
        file = tmp_path / work / 'toy/toy/seed_0/study.json'
        return json.loads(file.read_text())

    return read


def objective(run):
    """Return a score that has its best at lr 0.01 with 4 prompts."""
    changes = run.row.changes
    return changes['prompts'] - abs(changes[LR] - 0.01)


@pytest.fixture
def trained(monkeypatch):
    """Replace the training; return the folders that were trained."""
    folders = []

    def train_and_test(run, hook, verbose):
        folders.append(run.folder.name)
        run.write(metrics={'best val': objective(run)})

    monkeypatch.setattr(study_module, 'train_and_test', train_and_test)
    return folders


def values_of(content):
    return [trial['values'] for trial in content['trials']]


def test_missing_optuna_is_one_sentence(command, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'optuna', None)
    with pytest.raises(SystemExit):
        command()
    assert 'pip install "mmdavpt[search]"\n' in capsys.readouterr().err


@pytest.mark.parametrize(
    'text, sentence',
    [
        ('{', 'space.json: Expecting property name'),
        ('[]', "space.json: 'list' object has no attribute 'items'"),
        ('{"prompts": [2, 3]}', 'must be a mapping, not list'),
        ('{"prompts": {"low": 3, "high": 1}}', 'high'),
        ('{"prompts": {"low": 3}}', "argument: 'high'"),
        ('{"prompt": {"choices": [1]}}', "no variable 'prompt'.*'prompts'"),
    ],
)
def test_malformed_space_is_one_sentence(
    command, tmp_path, capsys, trained, text, sentence
):
    (tmp_path / 'space.json').write_text(text)
    with pytest.raises(SystemExit):
        command()
    error = capsys.readouterr().err
    assert re.search(sentence, error), error
    assert error.count('\n') == 1 and not trained


def test_test_images_cannot_choose(command, config, capsys, trained):
    val = toy.classification('unused')['val_dataloader']
    for changes in (dict(test_dataloader=val), dict(val_dataloader=None)):
        config(**changes)
        with pytest.raises(SystemExit):
            command()
        assert 'no validation images that are not' in capsys.readouterr().err
    # A protocol with validation images is searched, and the result is
    # trained under the one with all images.
    protocols = dict(tune=dict(val_dataloader=val), retrain=dict())
    config(val_dataloader=None, protocols=protocols, protocol='tune')
    assert command('--trials', '1') == 0
    assert trained == ['trial_0']
    assert f'{BEST} --protocol retrain --cfg-o' in capsys.readouterr().out


def test_lists_of_one_folder_train_together(
    command, tmp_path, trained, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / 'data/train')
    write_photos(tmp_path / 'data/test')
    argv = ['data', *WEIGHTS, '--size', '32']
    args = options.parse_arguments(train.add_arguments, argv)
    path = write_config(args, argv)
    space = CONFIGS / 'experiments/search_rates.json'
    argv = [path, '--trials', '1', '--work-dir', 'runs', '--space', str(space)]
    monkeypatch.setattr(
        study_module,
        'train_and_test',
        lambda run, *_, **__: run.write(metrics={'best val': 1.0}),
    )
    assert run_command(search, argv) == 0
    flags = shlex.split(capsys.readouterr().out.splitlines()[-1])
    args = options.parse_arguments(train.add_arguments, flags[2:])
    cfg = train.load(args)
    datasets = [
        DATASETS.build(c.train_dataloader.dataset)
        for c in (Config.fromfile(path), cfg)
    ]
    assert [*map(len, datasets)] == [9, 12]
    assert cfg.val_dataloader is None and cfg.val_cfg is None
    assert 'test' in cfg.test_dataloader.dataset.data_prefix


def test_shipped_space_is_named(command, config, read):
    config(lr=1.0)
    name = 'experiments/search_rates.json'
    assert command('--space', f'mmdavpt::{name}', '--report') == 0
    space = json.loads((CONFIGS / name).read_text())
    assert read()['settings']['space'] == space


def test_metric_that_chooses(command, read, trained):
    key = 'default_hooks.checkpoint.save_best'
    assert command('--trials', '1') == 0
    assert read()['settings']['cfg_options'] == {key: 'auto'}
    given = f'{key}=mDice'
    assert command('--trials', '1', '--cfg-options', given, work='dice') == 0
    assert read('dice')['settings']['cfg_options'] == {key: 'mDice'}


def test_study_has_the_trials_and_the_best(
    command, read, trained, capsys, tmp_path
):
    assert command('--trials', '12') == 0
    content = read()
    assert trained == [f'trial_{i}' for i in range(12)]
    assert {trial['state'] for trial in content['trials']} == {'COMPLETE'}
    scores = [
        values['prompts'] - abs(values[LR] - 0.01)
        for values in values_of(content)
    ]
    assert [trial['score'] for trial in content['trials']] == scores
    (best,) = content['best']
    assert scores[best] == max(scores)
    assert content['settings']['space'] == SPACE
    assert content['settings']['seed'] == 0
    assert all(1e-4 <= values[LR] <= 0.1 for values in values_of(content))
    out = capsys.readouterr().out
    assert f'12 of 12 trials are finished; the best is trial {best}' in out
    flags = shlex.split(out.splitlines()[1])
    best = values_of(content)[best]
    assert flags[:2] == ['mmdavpt', 'train'] and f'{LR}={best[LR]}' in flags
    # With its epochs, it is not chosen by images that train.
    assert 'save_best' not in out
    assert flags[3:5] == ['--work-dir', str(tmp_path / BEST)]
    assert '--protocol' not in flags
    # Nothing is trained again; more trials continue the same study.
    assert command('--trials', '12') == command('--report') == 0
    assert len(trained) == 12
    assert command('--trials', '13') == 0
    assert trained[12:] == ['trial_12']
    assert values_of(read())[:12] == values_of(content)


def test_other_settings_are_rejected(command, trained, tmp_path, capsys):
    assert command('--trials', '1') == 0
    (tmp_path / 'space.json').write_text('{"prompts": {"choices": [2]}}')
    with pytest.raises(SystemExit):
        command()
    assert 'a run with other settings' in capsys.readouterr().err
    assert len(trained) == 1


def test_values_do_not_depend_on_interruptions(
    command, read, trained, monkeypatch
):
    assert command('--trials', '14', work='whole') == 0
    train_and_test = study_module.train_and_test
    calls = itertools.count()

    def stop_sometimes(run, hook, verbose):
        if next(calls) % 4 == 2:
            return experiment.STOPPED
        return train_and_test(run, hook, verbose)

    monkeypatch.setattr(study_module, 'train_and_test', stop_sometimes)
    trained.clear()
    while command('--trials', '14'):
        states = [trial['state'] for trial in read()['trials']]
        assert len(states) == 14 and 'RUNNING' in states
    assert trained == [f'trial_{i}' for i in range(14)]
    assert read()['trials'] == read('whole')['trials']
    values = values_of(read())
    assert len({tuple(v.values()) for v in values}) == 14


def test_another_seed_is_another_study(command, read, trained, tmp_path):
    assert command('--trials', '3', '--seeds', '0', '1') == 0
    other = tmp_path / 'work/toy/toy/seed_1/study.json'
    other = json.loads(other.read_text())
    assert len(trained) == 6
    assert values_of(other) != values_of(read())


def test_failed_trial_is_replaced(command, read, trained, monkeypatch):
    train_and_test = study_module.train_and_test

    def fail_once(run, hook, verbose):
        if run.folder.name == 'trial_1':
            run.write()
            return 'ValueError: no'
        return train_and_test(run, hook, verbose)

    monkeypatch.setattr(study_module, 'train_and_test', fail_once)
    assert command('--trials', '3') == 1
    assert command('--trials', '3') == 0
    states = [trial['state'] for trial in read()['trials']]
    assert states == ['COMPLETE', 'FAIL', 'COMPLETE', 'COMPLETE']
    assert trained == ['trial_0', 'trial_2', 'trial_3']


def in_fork(work, *args):
    process = multiprocessing.get_context('fork').Process(
        target=work, args=args
    )
    process.start()
    return process


def test_killed_trial_is_claimed_again(command, read, trained, monkeypatch):
    def kill(run, hook, verbose):
        if run.folder.name == 'trial_1':
            os.kill(os.getpid(), signal.SIGKILL)
        run.write(metrics={'best val': objective(run)})

    def work():
        study_module.train_and_test = kill
        command('--trials', '4')

    process = in_fork(work)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    command('--report')
    before = read()['trials']
    assert [trial['state'] for trial in before] == [
        'COMPLETE',
        *['RUNNING'] * 3,
    ]
    assert before[1]['values'] and not before[2]['values']
    assert command('--trials', '4') == 0
    assert trained == ['trial_1', 'trial_2', 'trial_3']
    assert read()['trials'][1]['values'] == before[1]['values']


def test_processes_share_the_trials(command, read, trained):
    ours, theirs = multiprocessing.Pipe()

    def work():
        def wait(run, hook, verbose):
            theirs.send(run.folder.name)
            theirs.recv()
            run.write(metrics={'best val': objective(run)})

        study_module.train_and_test = wait
        command('--trials', '3')

    process = in_fork(work)
    assert ours.recv() == 'trial_0'
    assert command('--trials', '3') == 0
    assert trained == ['trial_1', 'trial_2']
    ours.send('continue')
    process.join()
    assert process.exitcode == 0
    states = [trial['state'] for trial in read()['trials']]
    assert states == ['COMPLETE'] * 3
    assert not ours.poll()


def complete(study, count, score):
    """Add finished trials with one score all through the training."""
    for _ in range(count):
        trial = study.ask()
        for percent in range(0, 101, 5):
            trial.report(score, percent)
        study.tell(trial, 0.0)


@pytest.mark.parametrize(
    'score, percent, others, pruned',
    [
        (10.0, 50, 5, True),
        (90.0, 50, 5, False),  # above the median
        (10.0, 10, 5, False),  # the first fifth of the training
        (10.0, 50, 4, False),  # few other trials
        (10.0, 100, 5, False),  # nothing is left to save
    ],
)
def test_hook_prunes_below_the_median(
    tmp_path, score, percent, others, pruned
):
    run = experiment.Run(SimpleNamespace(name='a'), tmp_path, {}, 'study.json')
    study = study_module.update_study(run)
    complete(study, others, 50.0)
    trial = study.ask()
    loop = SimpleNamespace(stop_training=False)
    runner = SimpleNamespace(
        iter=percent,
        max_iters=100,
        train_loop=loop,
        message_hub=SimpleNamespace(get_info=dict(best_score=score).get),
    )
    study_module.PruneHook(trial).after_val_epoch(runner, metrics={})
    assert loop.stop_training == pruned
    assert study.trials[-1].intermediate_values == {percent: score}
    state = study.trials[-1].state
    assert (state == optuna.trial.TrialState.PRUNED) == pruned


@pytest.mark.slow
def test_pruned_run_stops_and_the_best_can_be_trained(
    command, read, tmp_path, capsys
):
    """Real runs. The test images, which cannot be read, are not needed."""
    assert command('--trials', '1', '--workers', '2') == 0
    folder = tmp_path / 'work/toy/toy/seed_0'
    (first,) = read()['trials']
    record = json.loads((folder / 'trial_0/run.json').read_text())
    assert record['metrics'] == {'best val': first['score']}
    assert (folder / 'trial_0/epoch_4.pth').is_file()
    (line,) = capsys.readouterr().out.splitlines()[-1:]
    flags = shlex.split(line)[2:]
    flags += ['test_dataloader=None', 'test_evaluator=None', 'test_cfg=None']
    again = tmp_path / 'again'
    run_command(train, [*flags, '--work-dir', str(again)])
    assert (again / 'epoch_4.pth').is_file()
    assert not [*again.glob('best_*.pth')]
    # All others are better at every step.
    study = study_module.update_study(
        SimpleNamespace(
            record=dict, folder=folder, write=lambda **results: None
        )
    )
    complete(study, 5, 200.0)
    assert command('--trials', '7') == 0
    assert [t['state'] for t in read()['trials']] == [
        *['COMPLETE'] * 6,
        'PRUNED',
    ]
    assert (folder / 'trial_6/epoch_1.pth').is_file()
    assert not (folder / 'trial_6/epoch_2.pth').is_file()


@pytest.mark.slow
def test_killed_run_resumes_to_the_same_score(
    command, read, tmp_path, monkeypatch
):
    assert command('--trials', '2', work='whole') == 0
    after = study_module.PruneHook.after_val_epoch

    class Killed(BaseException):
        """A death that no handler catches."""

    def die(hook, runner, *args, **kwargs):
        if hook.trial.number == 1 and runner.iter == 6:
            raise Killed
        after(hook, runner, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(study_module.PruneHook, 'after_val_epoch', die)
        with pytest.raises(Killed):
            command('--trials', '2')
    assert command('--trials', '2') == 0
    assert read()['trials'] == read('whole')['trials']
    logs = sorted((tmp_path / 'work/toy/toy/seed_0/trial_1').glob('*/*.log'))
    assert 'resumed epoch: 2' in logs[-1].read_text()
