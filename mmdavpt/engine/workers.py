"""The worker processes of data loaders, and their end."""

from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter


def shut_down_workers(*loops: object) -> None:
    """End the workers of the loaders of some loops.

    Left to the garbage collector they end slowly: it takes the pipes that
    tell them to end together with their iterator, which then waits five
    seconds for each.

    Args:
        *loops (object): Loops of a runner; what was not built is passed over.
    """
    for loop in loops:
        loader = getattr(loop, 'dataloader', None)
        endless = getattr(loop, 'dataloader_iterator', None)
        for iterator in (
            getattr(loader, '_iterator', None),
            getattr(endless, '_iterator', None),
        ):
            if isinstance(iterator, _MultiProcessingDataLoaderIter):
                iterator._shutdown_workers()
        if loader is not None:
            loader._iterator = None  # so that the next pass has new ones
