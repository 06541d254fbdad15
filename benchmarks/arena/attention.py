"""Measure how [CLS] of trained runs attends to the prompts of each layer.

    python benchmarks/arena/attention.py work_dirs/birds/*/seed_0

Run it where the runs were trained. It prints one JSON line per run, of every
tenth test image: ``prompts``, the share of all prompts of each layer in the
attention of [CLS], a mean over heads; and for guided runs ``own``, the share
of the prompt of an image's class among the prompts of the last layer.
"""

import argparse
import json

import torch
from mmengine.config import Config

import mmdavpt
from mmdavpt.checkpoints import last_checkpoint
from mmdavpt.registry import DATASETS
from mmdavpt.visualization import layer_attention


def measure(run: str, step: int = 10) -> dict:
    """Return the shares of a run."""
    cfg = Config.fromfile(f'{run}/config.py')
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    infos = [dataset.get_data_info(i) for i in range(0, len(dataset), step)]
    tuned = mmdavpt.load_model(cfg, last_checkpoint(run)[0]).eval()
    files = [info['img_path'] for info in infos]
    inputs = [tuned.transform(file).flip(0) for file in files]  # BGR
    model = tuned.model
    images = model.data_preprocessor(dict(inputs=inputs))['inputs']
    layers = range(model.backbone.num_used_layers)
    found = [layer_attention(model.backbone, images, i) for i in layers]
    shares = [layer.prompts.sum(-1).mean().item() for layer in found]
    result = dict(run=run, prompts=[round(share, 3) for share in shares])
    if model.guidance is not None:
        labels = torch.tensor([info['gt_label'] for info in infos])
        own = model.guidance.targets(labels)
        mass = found[-1].prompts.mean(1)
        share = mass[range(len(own)), own] / mass.sum(1)
        result['own'] = round(share.mean().item(), 3)
    return result


def main() -> None:
    """Print the shares of each run."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('runs', nargs='+', help='work folders')
    for run in parser.parse_args().runs:
        print(json.dumps(measure(run)), flush=True)


if __name__ == '__main__':
    main()
