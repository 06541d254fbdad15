"""Statistics and mapping that all processes share."""

from mmengine.dist import (
    all_reduce,
    broadcast_object_list,
    is_main_process,
)

from mmdavpt.clustering import MappingResult
from mmdavpt.models import PromptGuidance


def share_new(guidance: PromptGuidance) -> None:
    """Sum over processes what each newly observed.

    It is done in every iteration that counts, so that the statistics that
    rank 0 saves are whole. It moves as many bytes as the gradient of a linear
    head.
    """
    all_reduce(guidance.new_sums)
    all_reduce(guidance.new_counts)
    guidance.take_new()


def drop_new(guidance: PromptGuidance) -> None:
    """Forget what this process newly observed."""
    guidance.new_sums.zero_()
    guidance.new_counts.zero_()


def drop_shared(guidance: PromptGuidance) -> None:
    """Forget what all processes observed since the last re-clustering."""
    guidance.class_sums.zero_()
    guidance.class_counts.zero_()


def cluster_on_main(guidance: PromptGuidance, seed: int) -> MappingResult:
    """Cluster on rank 0 and give every rank the result; change nothing.

    Raises:
        ValueError: On all ranks, if rank 0 cannot cluster.
    """
    payload = [None]
    if is_main_process():
        try:
            payload = [guidance.cluster(seed)]
        except ValueError as error:
            # The other ranks wait for the result: they get the error.
            payload = [error]
    broadcast_object_list(payload)
    if isinstance(payload[0], ValueError):
        raise payload[0]
    return payload[0]
