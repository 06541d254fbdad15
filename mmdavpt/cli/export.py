"""Export a trained model, for programs without mmdavpt or as one file.

    mmdavpt export work_dirs/birds/birds.py work_dirs/birds/epoch_100.pth

writes an ONNX file whose logits equal the model's, and a JSON file with the
class names and how to make the images. docs/deployment.md describes both, and
the formats: onnx; torch, a program of `torch.export`; torchscript; weights,
for the same model of timm or MMPretrain without mmdavpt; and model, the model
file that `mmdavpt predict` takes in place of a config and a checkpoint.
"""

import argparse
import json
from pathlib import Path

from mmdavpt.errors import UsageError

from . import options

#: The end of a file's name for each format.
SUFFIXES = dict(onnx='.onnx', torch='.pt2', torchscript='.pt')
SUFFIXES |= dict(weights='.safetensors', model='.model.safetensors')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of an export."""
    options.add_config_arguments(parser)
    options.add_shared(parser, '--verbose')
    add, size = parser.add_argument, 'height and width of images'
    add('checkpoint', help='path of the checkpoint')
    add('--format', choices=SUFFIXES, default='onnx', help='by default onnx')
    add('--out', help='file to write; by default next to the checkpoint')
    add('--size', nargs=2, type=options.positive, metavar='N', help=size)
    add('--weights', help='file of the frozen weights')
    add('--dynamic-size', action='store_true', help='allow other sizes too')


def run(args: argparse.Namespace) -> None:
    """Export a model.

    Args:
        args (argparse.Namespace): The arguments.
    """
    from mmdavpt.api import load_model, save_model
    from mmdavpt.models.export import describe_images, export_model

    from .common import describe, load_config

    cfg = load_config(args.config, args.cfg_options)
    tuned = load_model(cfg, args.checkpoint, args.weights)
    path = args.out or args.checkpoint + SUFFIXES[args.format]
    if args.format == 'model':
        if args.size or args.dynamic_size:
            text = 'a model file has no fixed size; omit --size and'
            raise UsageError(f'{text} --dynamic-size')
        save_model(tuned, path, complete=not tuned.model.backbone.init_cfg)
        print(f'{path} is written; mmdavpt predict takes it')
        return
    model, classes = tuned.model, tuned.spec['classes']
    info = dict(describe_images(model, args.size), classes=classes)
    info['resize'] = tuned.transform.describe()
    try:
        gap = export_model(model, path, args.format, info, args.dynamic_size)
    except Exception as error:
        reason = describe(error, {})[:300]
        raise UsageError(f'{args.format} export failed: {reason}') from error
    Path(f'{path}.json').write_text(json.dumps(info, indent=2))
    print(f'{path} is written; its logits differ by {gap:.0e} at most')
