"""Protocols: apply one, reject unknown ones, warn of bad selection."""

import pytest
from mmengine.config import Config

from mmdavpt.cli import common as cli
from mmdavpt.cli.protocol import (
    selection_warning,
    validates_test_images,
    with_protocol,
)
from mmdavpt.errors import UsageError

CONFIG = """
train_dataloader = dict(batch_size=4, dataset=dict(type='Images', split='all'))
val_dataloader = None
test_dataloader = dict(batch_size=8, dataset=dict(type='Images', split='test'))
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1))
best = dict(checkpoint=dict(save_best='auto'))
protocol = 'retrain'
protocols = dict(
    tune=dict(
        train_dataloader=dict(dataset=dict(split='part')),
        val_dataloader=dict(batch_size=8, dataset=dict(split='rest')),
        default_hooks=best,
    ),
    retrain=dict(),
    released=dict(
        val_dataloader=dict(
            batch_size=2, dataset=dict(type='Images', split='test')
        ),
        default_hooks=best,
    ),
)
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / 'some.py'
    file.write_text(CONFIG, encoding='utf-8')
    return str(file)


def test_nested_changes_are_merged_into_a_copy(path):
    cfg = Config.fromfile(path)
    before = cfg.to_dict()
    tuned = with_protocol(cfg, 'tune')
    assert cfg.to_dict() == before
    assert tuned.protocol == 'tune' and 'protocols' not in tuned
    assert tuned.train_dataloader == dict(
        batch_size=4, dataset=dict(type='Images', split='part')
    )
    assert tuned.val_dataloader == dict(
        batch_size=8, dataset=dict(split='rest')
    )
    assert tuned.default_hooks.checkpoint == dict(
        type='CheckpointHook', interval=1, save_best='auto'
    )


@pytest.mark.parametrize(
    'name, same', [('tune', False), ('retrain', False), ('released', True)]
)
def test_validation_images_may_be_the_test_images(path, name, same):
    cfg = with_protocol(Config.fromfile(path), name)
    assert validates_test_images(cfg) == same


@pytest.mark.parametrize('name', [None, 'retrain'])
def test_default_is_the_protocol_of_the_config(path, name):
    cfg = Config.fromfile(path)
    retrained = with_protocol(cfg, name)
    assert retrained.protocol == 'retrain'
    assert retrained.val_dataloader is None
    assert retrained.train_dataloader == cfg.train_dataloader


def test_a_child_may_name_another_protocol(path, tmp_path):
    child = tmp_path / 'child.py'
    child.write_text("_base_ = './some.py'\nprotocol = 'tune'\n")
    cfg = cli.load_config(str(child))
    assert cfg.train_dataloader.dataset.split == 'part'
    assert cli.load_config(str(child), protocol='retrain').protocol == (
        'retrain'
    )


def test_flag_overrides_option_overrides_config(path):
    def load(options, flag):
        return cli.load_config(path, options, flag).protocol

    assert load({}, None) == 'retrain'
    assert load({'protocol': 'tune'}, None) == 'tune'
    assert load({'protocol': 'tune'}, 'released') == 'released'


def test_options_override_the_protocol(path):
    cfg = cli.load_config(path, {'val_dataloader.batch_size': 3}, 'tune')
    assert cfg.val_dataloader.batch_size == 3
    with pytest.raises(UsageError, match='after its protocol was applied'):
        cli.load_config(path, {'protocols.tune.val_dataloader': {}}, 'tune')


def test_unknown_protocol_suggests_a_name(path):
    sentence = "'tune', 'retrain', 'released'.*; did you mean 'tune'"
    with pytest.raises(UsageError, match=sentence):
        with_protocol(Config.fromfile(path), 'tuned')


def test_protocol_of_a_config_without_protocols_is_rejected():
    cfg = Config(dict(train_cfg=dict()))
    assert with_protocol(cfg) is cfg
    with pytest.raises(UsageError, match='has no protocols'):
        with_protocol(cfg, 'tune')


def test_dumped_config_keeps_its_protocol(path, tmp_path):
    dump = str(tmp_path / 'dump.py')
    with_protocol(Config.fromfile(path), 'tune').dump(dump)
    cfg = Config.fromfile(dump)
    assert cfg.protocol == 'tune'
    for name in (None, 'tune'):
        again = with_protocol(cfg, name)
        assert again.train_dataloader.dataset.split == 'part'
    with pytest.raises(UsageError, match="already has the protocol 'tune'"):
        with_protocol(cfg, 'retrain')


def test_selection_by_test_images_warns(path):
    cfg = Config.fromfile(path)
    warned = {
        name: selection_warning(with_protocol(cfg, name))
        for name in cfg.protocols
    }
    assert warned['tune'] is None and warned['retrain'] is None
    assert 'do not report it as a test result' in warned['released']
    released = with_protocol(cfg, 'released')
    released.val_dataloader.dataset.pipeline = ['another']
    assert selection_warning(released) is not None
    released.val_dataloader.dataset.data_root = 'elsewhere'
    assert selection_warning(released) is None
