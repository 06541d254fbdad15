"""Guided models in three training loops give the same bits.

mmengine's Runner with PromptMappingHook, our runner, and a loop without any
runner or hook.
"""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmdavpt.engine.runner import DAVPTRunner
from mmdavpt.models.guidance import labels, regions
from mmdavpt.registry import MODELS
from tests import toy


class Recorder(Hook):
    """Keeps the first weights, the raw batches and the losses of a run."""

    priority = 'VERY_HIGH'

    def __init__(self):
        self.batches, self.losses = [], []

    def before_train(self, runner):
        self.weights = copy.deepcopy(runner.model.state_dict())

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.batches.append(copy.deepcopy(data_batch))

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ):
        self.losses.append(outputs)


def run(kind, cfg):
    """Train with a runner; return the model and the records."""
    runner = kind.from_cfg(Config(cfg))
    recorder = Recorder()
    runner.register_hook(recorder)
    runner.train()
    return runner.model, recorder


def train_without_runner(model, loader, epochs):
    """Train in a bare loop; return the losses of each iteration."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    losses = []
    model.train()
    random_state = torch.get_rng_state()
    model.fit_mapping(loader)
    assert torch.equal(torch.get_rng_state(), random_state)
    for batches in epochs:
        for batch in batches:
            data = model.data_preprocessor(batch, training=True)
            loss, log = model.parse_losses(model.loss(**data))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(log)
        model.refresh_mapping()
    return losses


def assert_equal(model, expected, losses, expected_losses):
    """Check losses and all weights and buffers, bit for bit."""
    assert len(losses) == len(expected_losses)
    for one, other in zip(losses, expected_losses, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert torch.equal(value, other[name]), name
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected.state_dict()[name]), name


@pytest.mark.parametrize(
    'build, epoch, changes',
    [
        (toy.classification, 3, {}),
        (toy.segmentation, 2, {}),
        (
            toy.segmentation,
            2,
            {
                'model.guidance.labels': 'present',
                'model.guidance.loss.token': 'patch_output',
            },
        ),
    ],
)
def test_three_loops_give_the_same_bits(
    tmp_path, monkeypatch, build, epoch, changes
):
    monkeypatch.setattr(regions, 'COVERAGE', 0.1)  # letters are thin
    expected, record = run(Runner, build(tmp_path / 'plain', changes))
    ours, record_of_ours = run(DAVPTRunner, build(tmp_path / 'ours', changes))
    assert_equal(ours, expected, record_of_ours.losses, record.losses)

    cfg = Config(build(tmp_path, changes))
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    model.load_state_dict(record.weights)
    loader = DataLoader(
        DATASETS.build(cfg.train_dataloader.dataset),
        batch_size=cfg.train_dataloader.batch_size,
        collate_fn=pseudo_collate,
    )
    epochs = [
        record.batches[i : i + epoch]
        for i in range(0, len(record.batches), epoch)
    ]
    losses = train_without_runner(model, loader, epochs)
    assert_equal(model, expected, losses, record.losses)


def segmentation(folder):
    """Return a segmentor, and samples of its training set."""
    cfg = Config(toy.segmentation(folder))
    init_default_scope('mmseg')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    samples = [dataset[i]['data_samples'] for i in range(8)]
    return MODELS.build(cfg.model), samples


def test_drawn_labels_depend_on_seed_and_iteration(tmp_path):
    model, samples = segmentation(tmp_path)
    draws = [model.guidance_labels(samples).tolist() for _ in range(3)]
    assert draws[0] != draws[1] != draws[2]
    model.guidance.iteration = 1  # as a resumed loop sets it
    assert model.guidance_labels(samples).tolist() == draws[1]
    model.guidance.iteration, model.guidance.seed = 1, 5
    assert model.guidance_labels(samples).tolist() != draws[1]


def test_drawn_labels_do_not_depend_on_the_number_of_ranks(
    tmp_path, monkeypatch
):
    """Samplers give the samples of a batch to ranks in turn."""
    model, samples = segmentation(tmp_path)
    expected = model.draw_labels(samples, 0)
    monkeypatch.setattr(labels, 'get_world_size', lambda: 2)
    for rank in range(2):
        monkeypatch.setattr(labels, 'get_rank', lambda rank=rank: rank)
        drawn = model.draw_labels(samples[rank::2], 0)
        assert drawn == expected[rank::2]


def test_the_first_pass_has_no_dropout(tmp_path):
    changes = {'model.backbone.trainable': ['*']}
    cfg = Config(toy.classification(tmp_path, changes))
    cfg.model.backbone.drop_path_rate = 0.5
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model).train()
    loader = DataLoader(
        DATASETS.build(cfg.train_dataloader.dataset),
        batch_size=8,
        collate_fn=pseudo_collate,
    )
    found = []
    for seed in range(2):
        model.fit_mapping(loader, seed=seed)
        found.append(model.guidance.representations.clone())
    assert torch.equal(*found)
    assert model.training and model.backbone.layers[1].training


def test_a_model_without_mapping_names_both_ways(tmp_path):
    init_default_scope('mmpretrain')
    model = MODELS.build(Config(toy.classification(tmp_path)).model).train()
    batch = torch.zeros(2, 3, 32, 32), torch.tensor([0, 1])
    for initialized in (False, True, False):
        model.guidance.initialized.fill_(initialized)
        if initialized:
            model.forward_guided(*batch)
            continue
        with pytest.raises(
            ValueError,
            match=r'custom_hooks=.*PromptMappingHook.*fit_mapping\(',
        ):
            model.forward_guided(*batch)


def test_an_unguided_model_has_nothing_to_fit(tmp_path):
    init_default_scope('mmpretrain')
    cfg = Config(toy.classification(tmp_path, {'model.guidance': None}))
    model = MODELS.build(cfg.model)
    model.fit_mapping(None)
    model.refresh_mapping()
