"""The blocks of docs/api.md for accelerate and Lightning run as printed.

Both are no dependencies. A test whose framework is not installed is skipped;
that of Lightning's hooks then runs without its trainer.
"""

import sys
from types import ModuleType

import pytest
import torch
from torchvision.datasets import ImageFolder

import mmdavpt

from .test_docs_run import FRAMEWORKS, write_birds
from .tiny_timm import use_tiny_models

IMAGES = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def birds(tmp_path, monkeypatch):
    """Return a function that makes a model and a loader."""
    use_tiny_models(monkeypatch)
    monkeypatch.chdir(tmp_path)
    write_birds(tmp_path / 'birds')

    def make(seed=0):
        torch.manual_seed(seed)
        name = 'vit_small_patch14_dinov2'
        model = mmdavpt.create_model(name, num_classes=3)
        images = ImageFolder('birds', model.transform)
        loader = torch.utils.data.DataLoader(images, 4, shuffle=True)
        return dict(mmdavpt=mmdavpt, torch=torch, model=model, loader=loader)

    return make


def train(block, names):
    """Run a block; check what it trained."""
    model, losses = names['model'], []

    def record(module, inputs, result):
        if isinstance(result, dict):
            losses.append({k: v.item() for k, v in result.items()})

    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    with model.register_forward_hook(record):
        exec(block, names)
    assert len(losses) == 20 * 3
    assert losses[-1]['loss'] < losses[0]['loss'] < float('inf')
    assert losses[0]['loss_guidance_token'] > 0
    for name, parameter in model.named_parameters():
        moved = not torch.equal(parameter, before[name])
        assert moved == parameter.requires_grad, name
    assert sorted(model.model.guidance.mapping.tolist()) == [0, 1, 2]
    assert not model.model.guidance.new_counts.any()  # refreshed at the end


def check_model_file(model):
    """Save and load the trained part."""
    mmdavpt.save_model(model, 'model.safetensors')
    loaded = mmdavpt.load_model('model.safetensors')
    assert torch.equal(loaded(IMAGES), model.eval()(IMAGES))


def test_accelerate(birds):
    pytest.importorskip('accelerate')
    names = birds()
    model = names['model']
    train(FRAMEWORKS[0], names)
    check_model_file(names['accelerator'].unwrap_model(names['wrapped']))
    expected = model(IMAGES)
    names['accelerator'].save_state('state')
    with torch.no_grad():
        for parameter in names['optimizer'].param_groups[0]['params']:
            parameter.zero_()
    model.model.guidance.reset()
    names['accelerator'].load_state('state')
    assert torch.equal(model(IMAGES), expected)
    assert sorted(model.model.guidance.mapping.tolist()) == [0, 1, 2]


def test_lightning(birds):
    lightning = pytest.importorskip('lightning')
    names = birds()
    model = names['model']
    train('\n'.join(FRAMEWORKS[1:]), names)
    check_model_file(model)
    names['trainer'].save_checkpoint('birds.ckpt')
    resumed = birds(1)

    class Validated(names['Birds']):
        def validation_step(self, batch, batch_idx):
            scores = self.model(batch[0])
            assert not scores.requires_grad and not self.model.training
            self.log('accuracy', (scores.argmax(1) == batch[1]).float().mean())

    own, loader = resumed['model'], resumed['loader']
    other = names['Birds'].load_from_checkpoint('birds.ckpt', model=own)
    assert torch.equal(other.model.eval()(IMAGES), model(IMAGES))
    trainer = lightning.Trainer(max_epochs=22)
    module = Validated(birds(1)['model'].train())
    trainer.fit(module, loader, loader, ckpt_path='birds.ckpt')
    assert trainer.current_epoch == 22
    trainer.validate(module, loader)  # in inference mode
    assert 0 <= trainer.callback_metrics['accuracy'] <= 1
    module.train().training_step(next(iter(loader)), 0).backward()
    assert sorted(module.model.model.guidance.mapping.tolist()) == [0, 1, 2]


def test_the_hooks_of_lightning_without_it(birds, monkeypatch):
    """Call them in the order of its trainer."""

    class Trainer:
        def __init__(self, max_epochs):
            self.max_epochs = max_epochs

        def fit(self, module, loader):
            optimizer = module.configure_optimizers()
            for _ in range(self.max_epochs):
                for number, batch in enumerate(loader):
                    module.training_step(batch, number).backward()
                    optimizer.step()
                    optimizer.zero_grad()
                module.on_train_epoch_end()

    stand_in = ModuleType('lightning')
    stand_in.LightningModule, stand_in.Trainer = torch.nn.Module, Trainer
    monkeypatch.setitem(sys.modules, 'lightning', stand_in)
    train('\n'.join(FRAMEWORKS[1:]), birds())
