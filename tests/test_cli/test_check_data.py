"""``mmdavpt check``: exit status and outputs."""

import json

import pytest

from mmdavpt.cli import check
from mmdavpt.cli.messages import run_command
from tests.test_checks.test_data.data_files import (
    listed_images,
    scenes,
    truncate,
)


@pytest.fixture
def write_config(tmp_path):
    def write(**splits):
        loaders = {
            f'{k}_dataloader': dict(dataset=v) for k, v in splits.items()
        }
        content = dict(work_dir=str(tmp_path / 'run'), **loaders)
        content['default_scope'] = 'mmseg'
        lines = [f'{key} = {value!r}' for key, value in content.items()]
        (tmp_path / 'config.py').write_text('\n'.join(lines))
        return str(tmp_path / 'config.py')

    return write


def test_report(write_config, tmp_path, capfd):
    val = scenes(tmp_path / 'val')
    config = write_config(train=scenes(tmp_path / 'train'), val=val, test=val)
    assert run_command(check, [config, '--data-only']) == 0
    out, err = capfd.readouterr()
    assert 'the files of val' in out and 'no errors, no warnings' in out
    assert 'reading' not in err  # no progress bar in a file
    folder = tmp_path / 'run/data_report'
    found = {path.name for path in folder.iterdir()}
    assert found == {'report.html', 'report.json'}
    truncate(tmp_path / 'val/ann/2.png')
    assert run_command(check, [config, '--data-only']) == 1
    assert f'{tmp_path}/val/ann/2.png is truncated' in capfd.readouterr().out
    assert (
        run_command(check, [config, '--data-only', '--splits', 'train']) == 0
    )
    report = json.loads((folder / 'report.json').read_text())
    assert [part['split'] for part in report['datasets']] == ['train']


def test_warnings_leave_the_exit_status(write_config, tmp_path, capfd):
    dataset = scenes(tmp_path / 'train')
    config = write_config(train=dataset, val=dataset)
    assert run_command(check, [config, '--data-only']) == 0
    assert 'warning: train and val: ' in capfd.readouterr().out


def test_other_loaders_read_files_again(write_config, tmp_path):
    dataset = scenes(tmp_path / 'train', classes=3)
    config = write_config(train=dataset)
    assert run_command(check, [config, '--data-only']) == 0
    config = write_config(train=dict(dataset, reduce_zero_label=True))
    run_command(check, [config, '--data-only'])
    report = json.loads((tmp_path / 'run/data_report/report.json').read_text())
    assert '255' in report['datasets'][0]['label_values']


def test_datasets_that_cannot_be_read(write_config, tmp_path, capfd):
    config = write_config(
        train=dict(listed_images(tmp_path, {'a.jpg': 0}), data_root='/none'),
        val=dict(type='NoSuchDataset'),
        test=dict(
            type='mmdavpt.GlyphDataset',
            chars='AB',
            faces='latin_train',
            num_images=3,
            pipeline=[],
        ),
    )
    assert run_command(check, [config, '--data-only']) == 1
    out = capfd.readouterr().out
    assert 'error: train: train_dataloader.dataset cannot be read' in out
    assert 'NoSuchDataset is not in' in out
    report = tmp_path / 'run/data_report/report.json'
    (drawn,) = json.loads(report.read_text())['datasets']
    assert drawn['num_samples'] == 3 and not drawn['images_per_class']


def test_mistakes(write_config, tmp_path, capfd):
    config = write_config()
    for argv, sentence in (
        ([config], 'has no dataset for train or val or test'),
        ([config, '--workers', '0'], '--workers'),
        ([str(tmp_path / 'other.py')], 'other.py does not exist'),
    ):
        with pytest.raises(SystemExit) as stop:
            run_command(check, [*argv, '--data-only'])
        assert stop.value.code == 2
        assert sentence in capfd.readouterr().err
