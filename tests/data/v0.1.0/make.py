"""Make the checkpoints and expected values in this folder with mmdavpt 0.1.0.

Run it in a checkout of version 0.1.0:

    PYTHONPATH=. python make.py FOLDER
"""

import shutil
import sys
import tempfile
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from mmdavpt.registry import MODELS
from tests import toy

torch.set_num_threads(1)
toy.ARCH.update(embed_dims=16, num_layers=2, num_heads=2)
toy.ARCH.update(feedforward_channels=24)
AUGMENTED = [
    dict(type='mmpretrain.RandomFlip', prob=0.5, direction='horizontal')
]
#: DropPath, so that resuming needs the draws of each iteration.
LIVELY = {'model.backbone.drop_path_rate': 0.2}


def pretrained(folder):
    """Write the weights of a plain backbone, and return the path."""
    torch.manual_seed(0)
    backbone = MODELS.build(toy.backbone())
    state = {
        name: torch.randn_like(value) * 0.1
        for name, value in backbone.state_dict().items()
        if not name.startswith('prompts')
    }
    torch.save(state, folder / 'vit.pth')
    return str(folder / 'vit.pth')


def configs(folder, weights):
    """Return the config, the checkpoint and its last one of each run."""
    init = {
        'model.backbone.init_cfg': dict(type='Pretrained', checkpoint=weights)
    }
    tuned = {**init, 'default_hooks.checkpoint.tuned_only': True}
    plus = {**tuned, 'model.backbone.bias': ('k', 'v')}
    classification = toy.classification(
        folder / 'classification', {**LIVELY, 'train_cfg.val_interval': 1}
    )
    pipeline = classification['train_dataloader']['dataset']['pipeline']
    pipeline[:0] = AUGMENTED
    segmentation = {
        **tuned,
        'model.decode_head.channels': 4,
        'model.auxiliary_head.0.channels': 4,
    }
    return {
        'classification': (classification, 'epoch_1.pth', 'epoch_2.pth'),
        'tuned_only': (
            toy.classification(folder / 'tuned_only', tuned),
            'epoch_1.pth',
            'epoch_2.pth',
        ),
        'plus': (
            toy.classification(folder / 'plus', plus),
            'epoch_1.pth',
            'epoch_2.pth',
        ),
        'segmentation': (
            toy.segmentation(folder / 'segmentation', segmentation),
            'iter_2.pth',
            'iter_4.pth',
        ),
    }


def outputs(cfg, checkpoint):
    """Return the scores of a checkpoint for two random images."""
    model = MODELS.build(cfg['model'])
    state = torch.load(checkpoint, weights_only=False)['state_dict']
    model.load_state_dict(state)  # strictly
    images = torch.randn(
        2, 3, 32, 32, generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        scores = model.eval()(images, mode='tensor')
    return scores if scores.ndim == 2 else scores[..., ::8, ::8].clone()


def main(target):
    """Run everything in a temporary folder, and copy what is kept."""
    work = Path(tempfile.mkdtemp())
    weights = pretrained(work)
    shutil.copy(weights, target)
    expected = dict(
        torch=str(torch.__version__),
        cpu=torch.backends.cpu.get_cpu_capability(),
    )
    for name, (cfg, first, last) in configs(work, weights).items():
        RUNNERS.build(
            Config({**cfg, 'runner_type': 'mmdavpt.DAVPTRunner'})
        ).train()
        folder = work / name
        final = torch.load(folder / last, weights_only=False)['state_dict']
        expected[name] = dict(
            outputs=outputs(cfg, folder / first),
            final={
                key: value
                for key, value in final.items()
                if 'backbone.layers' not in key and 'patch_embed' not in key
            },
        )
        shutil.copy(folder / first, target / f'{name}.pth')
    torch.save(expected, target / 'expected.pth')


if __name__ == '__main__':
    main(Path(sys.argv[1]).resolve())
