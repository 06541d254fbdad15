"""Predict images, folders, videos and patterns of names.

    mmdavpt predict birds.safetensors photos 'more/**/*.jpg' flight.mp4
    mmdavpt predict CONFIG CHECKPOINT photos --out predicted
    mmdavpt predict --tasks birds.safetensors cars.safetensors photos

The first form takes a model file of `mmdavpt.save_model`, the last one
several, tuned on the same frozen weights: each image is predicted for all
tasks, and results name the task. Images are
files, folders and quoted patterns. The folder --out, by default predictions,
gets predictions.json and, for classification, predictions.csv with the --top-k
classes of each image, by default 5; for segmentation, label maps in masks and
pictures in overlays. Frame 12 of a video is flight.mp4#000012. Images that
cannot be read are skipped, and the exit status is then 1.
"""

import argparse

from . import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a prediction."""
    add, count = parser.add_argument, options.positive
    options.add_config_arguments(parser, 'a model file, or a config')
    add('inputs', nargs='+', help='[CHECKPOINT] and images')
    add('--out', default='predictions', help='folder')
    add('--top-k', type=count, default=5)
    add('--every', type=count, default=1, help='frames of videos')
    add('--weights', help='file of the frozen weights')
    add('--tasks', action='store_true', help='take several model files')
    options.add_shared(parser, '--verbose')


def run(args: argparse.Namespace) -> int:
    """Predict images.

    Args:
        args (argparse.Namespace): The arguments.

    Returns:
        int: The exit status: 1 if an image was skipped, else 0.
    """
    import torch

    from mmdavpt.api import MultiTaskModel, load_model

    from .common import load_config
    from .prediction_files import find_images, write_predictions

    checkpoint, source, inputs = None, args.config, args.inputs
    if not (args.tasks or source.endswith('.safetensors')):
        checkpoint, *inputs = inputs
        source = load_config(source, args.cfg_options)
    tasks = [p for p in inputs if p.endswith('.safetensors') and args.tasks]
    images = find_images(path for path in inputs if path not in tasks)
    if args.tasks:
        model = MultiTaskModel([source, *tasks], args.weights)
    else:
        model = load_model(source, checkpoint, args.weights)
    model.to('cuda' if torch.cuda.is_available() else 'cpu')
    settings = args.out, args.top_k, args.every
    return int(write_predictions(model, images, *settings) > 0)
