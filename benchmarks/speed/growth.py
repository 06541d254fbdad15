"""Measure how costs grow with classes, prompts and pixels."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from mmdavpt.mapping import accumulate, cluster

from .cases import Case
from .measuring import count

MIB = 2**20


def class_points(num_classes: int, channels: int, seed: int = 0) -> np.ndarray:
    """Return class representations that form groups.

    Args:
        num_classes (int): ``K``.
        channels (int): ``C``.
        seed (int): Defaults to 0.

    Returns:
        np.ndarray: float32, (K, C): one group per ten classes.
    """
    generator = np.random.default_rng(seed)
    groups = generator.standard_normal((max(num_classes // 10, 2), channels))
    members = generator.integers(len(groups), size=num_classes)
    noise = generator.standard_normal((num_classes, channels))
    return (groups[members] + 0.7 * noise).astype(np.float32)


def seconds_of(run: Callable[[], Any], rounds: int) -> float:
    """Return the median processor time of several runs, in seconds.

    Args:
        run (Callable): The code to time, on one thread.
        rounds (int): The number of runs.
    """
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def grow_classes(
    classes: Sequence[int],
    prompts: Sequence[int],
    channels: int = 768,
    batch: int = 64,
    rounds: int = 3,
) -> list[dict]:
    """Time clustering and statistics.

    Args:
        classes (Sequence[int]): Numbers of classes ``K``.
        prompts (Sequence[int]): Numbers of prompts ``P``; those of at least
            ``K`` need no clustering and are left out.
        channels (int): ``C``. Defaults to 768.
        batch (int): Samples per step. Defaults to 64.
        rounds (int): Defaults to 3.

    Returns:
        list[dict]: With ``classes``, ``prompts``, ``first`` (seconds of the
        first k-means), ``again`` (from the previous centroids, after the
        representations moved a little), ``observe`` (of adding one batch) and
        ``state`` (bytes of the guidance's buffers).
    """
    rows = []
    for num_classes in classes:
        points = class_points(num_classes, channels)
        moved = points + 0.05 * class_points(num_classes, channels, seed=1)
        sums = torch.zeros(num_classes, channels)
        counts = torch.zeros(num_classes, dtype=torch.int64)
        features = torch.from_numpy(points[:batch])
        labels = torch.arange(len(features)) * 7 % num_classes
        observe = seconds_of(
            lambda s=sums, c=counts, f=features, y=labels: accumulate(
                s, c, f, y
            ),
            50 * rounds,
        )
        for num_prompts in prompts:
            if num_prompts >= num_classes:
                continue
            _, centroids = cluster(points, num_prompts)
            first = seconds_of(
                lambda x=points, p=num_prompts: cluster(x, p), rounds
            )
            again = seconds_of(
                lambda x=moved, p=num_prompts, c=centroids: cluster(x, p, c),
                rounds,
            )
            state = 4 * channels * (3 * num_classes + num_prompts)
            rows.append(
                dict(
                    classes=num_classes,
                    prompts=num_prompts,
                    first=first,
                    again=again,
                    observe=observe,
                    state=state,
                )
            )
    return rows


def grow_prompts(case: Case, prompts: Sequence[int]) -> list[dict]:
    """Count a training step with more and more prompts.

    Args:
        case (Case): Everything else.
        prompts (Sequence[int]): The numbers of prompts.

    Returns:
        list[dict]: With ``prompts`` and the costs of :func:`_costs`.
    """
    return [
        dict(prompts=n, **_costs(replace(case, prompts=n))) for n in prompts
    ]


def grow_size(case: Case, sizes: Sequence[int]) -> list[dict]:
    """Count a training step with larger and larger images.

    Args:
        case (Case): Everything else.
        sizes (Sequence[int]): Height and width in pixels.

    Returns:
        list[dict]: With ``size`` and the costs of :func:`_costs`.
    """
    return [dict(size=n, **_costs(replace(case, size=n))) for n in sizes]


def _costs(case: Case) -> dict[str, float]:
    """Return GFLOP and kept MiB per image, of both forms."""
    found = {}
    for form in ('davpt', 'concatenated'):
        row = count(case, form, 'training')
        found[f'{form}_gflop'] = row.flops / case.batch / 1e9
        found[f'{form}_mib'] = row.kept / case.batch / MIB
    row = count(case, 'davpt', 'inference')
    found['inference_gflop'] = row.flops / case.batch / 1e9
    return found
