"""The demo trains what it says; the whole of it takes minutes."""

import pytest

from mmdavpt.cli.common import load_config
from tools import demo


@pytest.mark.parametrize('name', ['davpt', 'vpt'])
def test_classifiers_train_for_as_many_epochs(name, tmp_path, monkeypatch):
    class Trained(Exception):
        pass

    def train(config, work_dir, options):
        raise Trained(config, options)

    monkeypatch.setattr(demo, 'train', train)
    with pytest.raises(Trained) as raised:
        demo.tune_classifier(tmp_path, name, name)
    config, options = raised.value.args
    found = load_config(str(demo.GLYPHS / config), options)
    assert found.train_cfg.max_epochs == demo.EPOCHS
    known = load_config(str(demo.GLYPHS / f'{name}_glyphs.py'), {})
    assert found.model.to_dict() == known.model.to_dict()
