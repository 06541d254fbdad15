"""Identify frozen weights by a few bytes."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

#: Bytes of a SHA-256 digest.
DIGEST = 32
#: Number of values that represent a position embedding. Loading resizes it,
#: and the last bits of that depend on the machine.
SAMPLES = 64
#: Differences that resizing may cause, relative to the spread of the values.
#: Another resizing method causes a hundred times more.
TOLERANCE = 1e-4


def fingerprint(weights: Mapping[str, Tensor]) -> Tensor:
    """Return the fingerprint of named weights.

    It consists of a digest of the names and shapes, a digest of the values,
    bit for bit, and samples of the position embeddings.

    Args:
        weights (Mapping[str, Tensor]): Of any devices and types.

    Returns:
        Tensor: Bytes, uint8, shape (64 + 256 * position embeddings, ).
    """
    names, values = hashlib.sha256(), hashlib.sha256()
    samples = []
    for name in sorted(weights):
        value = weights[name].detach().cpu().contiguous()
        names.update(f'{name}{tuple(value.shape)};'.encode())
        if name.endswith('pos_embed'):
            flat = value.reshape(-1).float()
            places = torch.linspace(0, flat.numel() - 1, SAMPLES).round()
            samples.append(flat[places.long()].clone().view(torch.uint8))
        else:
            values.update(value.reshape(-1).view(torch.uint8).numpy())
    digests = bytearray(names.digest() + values.digest())
    return torch.cat([torch.frombuffer(digests, dtype=torch.uint8), *samples])


def same_names(one: Tensor, other: Tensor) -> bool:
    """Return whether two fingerprints have the same names and shapes.

    Args:
        one (Tensor): A fingerprint.
        other (Tensor): A fingerprint.
    """
    return torch.equal(one[:DIGEST], other[:DIGEST])


def same_values(one: Tensor, other: Tensor) -> bool:
    """Return whether two fingerprints belong to the same weights.

    Args:
        one (Tensor): A fingerprint.
        other (Tensor): A fingerprint.
    """
    exact = slice(0, 2 * DIGEST)
    if one.shape != other.shape or not torch.equal(one[exact], other[exact]):
        return False
    first, second = (
        values[2 * DIGEST :].clone().view(torch.float32).view(-1, SAMPLES)
        for values in (one, other)
    )
    spread = first.std(dim=1, keepdim=True)
    return bool(((first - second).abs() <= TOLERANCE * spread).all())


def short(value: Tensor) -> str:
    """Return the part of a fingerprint that messages show.

    Args:
        value (Tensor): A fingerprint.
    """
    return bytes(value[DIGEST : DIGEST + 4].tolist()).hex()
