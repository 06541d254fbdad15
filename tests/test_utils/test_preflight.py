"""Missing files are named before anything heavy starts."""
import pytest

from mmdavpt.utils import UsageError
from mmdavpt.utils.preflight import (
    check_checkpoint_exists,
    check_config_exists,
    check_data,
    check_pretrained,
)


def loader(**dataset):
    return dict(train_dataloader=dict(dataset=dataset))


def test_config_with_similar_names(tmp_path):
    for name in ('davpt_birds.py', 'unrelated.py'):
        (tmp_path / name).touch()
    check_config_exists(str(tmp_path / 'davpt_birds.py'))
    with pytest.raises(UsageError, match='similar ones are .*davpt_birds.py'):
        check_config_exists(str(tmp_path / 'davpt_bird.py'))
    # From any folder the package's own configs are proposed too.
    with pytest.raises(UsageError, match='setr_davpt_ade20k.py'):
        check_config_exists(str(tmp_path / 'setr_davpt_ade20.py'))


def test_config_without_similar_names(tmp_path):
    with pytest.raises(UsageError, match='the configs are in .*configs$'):
        check_config_exists(str(tmp_path / 'qqqqqqqqqqqqqqqqqqqq'))


def test_checkpoint(tmp_path):
    path = tmp_path / 'epoch_3.pth'
    path.touch()
    check_checkpoint_exists(str(path), 'the checkpoint')
    check_checkpoint_exists('https://example.org/x.pth', 'the checkpoint')
    with pytest.raises(
            UsageError, match='the checkpoint .* its folder has epoch_3.pth'):
        check_checkpoint_exists(str(tmp_path / 'epoch_4.pth'),
                                'the checkpoint')
    with pytest.raises(UsageError, match='nowhere has no checkpoint'):
        check_checkpoint_exists(
            str(tmp_path / 'nowhere/x.pth'), 'the checkpoint')


def test_pretrained_weights(tmp_path):
    weights = tmp_path / 'vit.pth'
    init_cfg = dict(type='Pretrained', checkpoint=str(weights))
    model = dict(backbone=dict(init_cfg=[dict(type='Kaiming'), init_cfg]))
    with pytest.raises(
            UsageError,
            match='--cfg-options model.backbone.init_cfg.1.checkpoint=FILE'):
        check_pretrained(model)
    weights.touch()
    check_pretrained(model)
    init_cfg['checkpoint'] = 'torchvision://resnet50'
    check_pretrained(model)


@pytest.mark.parametrize('dataset,missing', [
    (dict(data_root='none'), 'none'),
    (dict(data_root='here', data_prefix=dict(img_path='a')), 'here/a'),
    (dict(data_root='here', data_prefix='a'), 'here/a'),
    (dict(data_root='here', ann_file='list.txt'), 'here/list.txt'),
    (dict(data_prefix=dict(img_path='a')), 'a'),
])
def test_missing_data(tmp_path, monkeypatch, dataset, missing):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'here').mkdir()
    with pytest.raises(
            UsageError,
            match=f'train_dataloader.dataset reads {missing}, which does not '
            'exist.*docs/data.md.*train_dataloader.dataset.data_root=FOLDER'):
        check_data(loader(**dataset), ['train'])
    check_data(loader(**dataset), ['test'])  # which is not there at all


def test_data_that_is_there(tmp_path):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'list.txt').touch()
    check_data(
        loader(
            data_root=str(tmp_path),
            data_prefix=dict(img_path='images', seg_map_path=''),
            ann_file='list.txt'), ['train'])
    check_data(
        loader(data_root=str(tmp_path), ann_file=str(tmp_path / 'list.txt')),
        ['train'])
    check_data(loader(data_root='s3://bucket'), ['train'])
    check_data(loader(seed=0), ['train'])


def test_data_inside_wrappers():
    inner = dict(data_root='/nope')
    with pytest.raises(UsageError, match='train_dataloader.dataset.dataset '):
        check_data(loader(dataset=inner), ['train'])
    with pytest.raises(UsageError, match='dataset.datasets.1.dataset '):
        check_data(
            loader(datasets=[dict(), dict(dataset=inner)]), ['train'])
