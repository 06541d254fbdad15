"""Base of tuners that are configured by gradients of the training data."""

import json
import os.path as osp
from typing import Any

import torch
from torch import Tensor, nn

from mmdavpt.checkpoints.fingerprint import fingerprint, same_values
from mmdavpt.checkpoints.frozen import frozen_weights
from mmdavpt.checkpoints.reading import read_run_checkpoint
from mmdavpt.errors import UsageError

from .tuner import BackboneSizes, Tuner

#: Buffers of each selection: its settings as JSON in bytes, and the
#: fingerprint of the frozen weights that it was made for.
SETTINGS, FROZEN = 'selection_settings', 'selection_fingerprint'


class SelectiveTuner(Tuner):
    """A tuner that needs a pass over the training data, with gradients.

    ``mmdavpt select CONFIG FILE`` runs it: it adds up :meth:`score` of each
    batch, and writes what :meth:`select` returns. The tuner takes the file as
    ``selection``, and its buffers hold all that is in it. So each checkpoint
    of the training contains the selection, and can be named instead of the
    file.

    Args:
        sizes (BackboneSizes): Sizes of the backbone.
        selection (str, optional): The file, or a checkpoint of a training
            with it. None before there is one.
        **settings (Any): What the selection depends on, as JSON has it.

    Attributes:
        first (bool): Whether the tuner needs its selection before it can
            train; else it is made from a trained checkpoint.
        batches (int | None): The number of batches of the pass. None for the
            whole training set.

    Raises:
        UsageError: If the file cannot be read, or was made with other
            settings.
    """

    first: bool = True
    batches: int | None = None

    def __init__(
        self, sizes: BackboneSizes, selection: str | None, **settings: Any
    ) -> None:
        super().__init__(sizes)
        self.selection, self._checked = selection, False
        kind = type(self).__name__
        self.settings = dict(settings, type=kind, num_layers=sizes.num_layers)
        for name, value in self._read().items():
            self.register_buffer(name, value)

    def _read(self) -> dict[str, Tensor]:
        """Return the buffers of the selection; none before there is one."""
        file = self.selection
        if file is None:
            return {}
        # Without a file, the error below says what to do.
        content = read_run_checkpoint(file) if osp.isfile(file) else {}
        state = content.get('state_dict', {})
        for key in [key for key in state if key.endswith(SETTINGS)]:
            if json.loads(bytes(state[key].tolist())) == self.settings:
                prefix = key.removesuffix(SETTINGS)
                return {
                    name.removeprefix(prefix): value
                    for name, value in state.items()
                    if name.startswith(prefix)
                    and not value.is_floating_point()
                }
        raise UsageError(
            f'{file} should be a selection with the settings {self.settings}, '
            'or a checkpoint trained with it; make another by `mmdavpt select '
            'CONFIG FILE`, or correct path and settings'
        )

    def _made_for(self, backbone: nn.Module) -> Tensor:
        """Return the fingerprint of frozen weights and of watched shapes."""
        shapes = str([tuple(p.shape) for p in self.watched(backbone)])
        return fingerprint(
            {**frozen_weights(backbone), shapes: torch.zeros(0)}
        )

    def check_selection(self, backbone: nn.Module) -> None:
        """Check before training that the selection fits the frozen weights.

        Args:
            backbone (nn.Module): The ``PromptedBackbone``, with its weights.

        Raises:
            UsageError: If it does not, or is missing.
        """
        reason = None
        if self.selection is None:
            reason = 'it has none' if self.first else None
        elif not self._checked:
            made_for = self._made_for(backbone)
            if not same_values(self.selection_fingerprint.cpu(), made_for):
                reason = f'{self.selection} was made for others'
        if reason:
            raise UsageError(
                f'{type(self).__name__} trains with a selection made for its '
                f'frozen weights and numbers of prompts, but {reason}; make '
                'one by `mmdavpt select CONFIG FILE`, and set '
                "selection='FILE' of the tuner"
            )
        self._checked = True

    def selection_state(
        self, backbone: nn.Module, scores: dict
    ) -> dict[str, Tensor]:
        """Return a selection with its settings and fingerprint.

        Args:
            backbone (nn.Module): See :meth:`select`.
            scores (dict): See :meth:`select`.
        """
        settings = torch.tensor([*json.dumps(self.settings).encode()])
        return {
            **self.select(backbone, scores),
            SETTINGS: settings.to(torch.uint8),
            FROZEN: self._made_for(backbone),
        }

    def watched(self, backbone: nn.Module) -> list[nn.Parameter]:
        """Return the parameters whose gradients decide, frozen ones too.

        Args:
            backbone (nn.Module): The ``PromptedBackbone``.
        """

    def score(self, value: Tensor, gradient: Tensor) -> Tensor:
        """Return what a batch adds to the score of a parameter.

        Args:
            value (Tensor): The parameter.
            gradient (Tensor): The gradient of the batch's loss, of the same
                shape.
        """

    def select(self, backbone: nn.Module, scores: dict) -> dict[str, Tensor]:
        """Return the buffers of a selection; none are of floats.

        Args:
            backbone (nn.Module): The ``PromptedBackbone``.
            scores (dict[nn.Parameter, Tensor]): Sums of :meth:`score` over
                all batches, for each of :meth:`watched`.
        """
