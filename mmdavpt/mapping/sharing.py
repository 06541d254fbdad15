"""Statistics and mapping that all processes share."""

from typing import Optional

from mmengine.dist import all_reduce

from mmdavpt.engine.ranks.agreement import sum_and_check_mapping
from mmdavpt.engine.ranks.on_main import on_main
from mmdavpt.mapping import MappingResult, moved
from mmdavpt.models import PromptGuidance


def share_new(guidance: PromptGuidance) -> None:
    """Sum over processes what each newly observed.

    It is done in every iteration that counts, so that the statistics that
    rank 0 saves are whole. It moves as many bytes as the gradient of a linear
    head. That all processes have the same mapping is checked in passing.

    Raises:
        RuntimeError: On all processes, if the mapping is not the same on all.
    """
    all_reduce(guidance.new_sums)
    guidance.new_counts.copy_(
        sum_and_check_mapping(guidance.new_counts, guidance.mapping)
    )
    guidance.take_new()


def drop_new(guidance: PromptGuidance) -> None:
    """Forget what this process newly observed; check the mapping all the same.

    Raises:
        RuntimeError: On all processes, if the mapping is not the same on all.
    """
    guidance.new_sums.zero_()
    guidance.new_counts.zero_()
    sum_and_check_mapping(guidance.new_counts[:0], guidance.mapping)


def drop_shared(guidance: PromptGuidance) -> None:
    """Forget what all processes observed since the last re-clustering."""
    guidance.class_sums.zero_()
    guidance.class_counts.zero_()


def cluster_on_main(guidance: PromptGuidance, seed: int) -> MappingResult:
    """Cluster on rank 0 and give every rank the result; change nothing.

    Raises:
        ValueError: On all ranks, if rank 0 cannot cluster.
    """
    return on_main(lambda: guidance.cluster(seed))


def recluster(
    guidance: PromptGuidance, seed: int, first: bool
) -> tuple[MappingResult, Optional[int]]:
    """Cluster what all processes observed, and take over the mapping.

    Args:
        guidance (PromptGuidance): Of the model, on every rank.
        seed (int): Seed of k-means++.
        first (bool): Whether there was no mapping before.

    Returns:
        tuple[MappingResult, int | None]: The mapping, and how many classes
        moved to another prompt; None for the first.
    """
    guidance.finish_epoch()
    result = cluster_on_main(guidance, seed)
    changed = (
        None
        if first
        else moved(guidance.mapping.cpu().numpy(), result.mapping)
    )
    guidance.set_mapping(result)
    return result, changed
