"""Base of tuners that are configured by gradients of the training data."""

import json
import os.path as osp
from abc import abstractmethod
from collections.abc import Mapping
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
#: Parameters to the sums of their scores over all batches.
Scores = Mapping[nn.Parameter, Tensor]


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
        selected (dict[str, Tensor]): The tensors of the file.

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
        self.kind, self.selection = type(self).__name__, selection
        self.settings = dict(
            settings, type=self.kind, num_layers=sizes.num_layers
        )
        self.selected: dict[str, Tensor] = {}
        self._checked = False
        if selection is not None:
            self.selected = self._read(selection)
            for name in (SETTINGS, FROZEN):
                self.register_buffer(name, self.selected[name])

    def _read(self, file: str) -> dict[str, Tensor]:
        # Without a file, the error below says what to do.
        content = read_run_checkpoint(file) if osp.isfile(file) else {}
        state = content.get('state_dict', {})
        for key, value in state.items():
            prefix = key.removesuffix(SETTINGS)
            if prefix != key and bytes(value.tolist()) == self._made_with():
                names = [name for name in state if name.startswith(prefix)]
                return {name[len(prefix) :]: state[name] for name in names}
        raise UsageError(
            f'{file} should be a selection of {self.kind} with the settings '
            f'{self.settings}, or a checkpoint trained with it; make another '
            'by `mmdavpt select CONFIG FILE`, or correct path and settings'
        )

    def _made_with(self) -> bytes:
        return json.dumps(self.settings, sort_keys=True).encode()

    def check_selection(self, backbone: nn.Module) -> None:
        """Check before training that the selection fits the frozen weights.

        Args:
            backbone (nn.Module): The ``PromptedBackbone``, with its weights.

        Raises:
            UsageError: If it does not, or is missing.
        """
        if self.selection is None and self.first:
            raise UsageError(
                f'{self.kind} needs a selection of parameters before it '
                'trains; make one with `mmdavpt select CONFIG FILE` and set '
                "selection='FILE' of this tuner"
            )
        if self.selection is None or self._checked:
            return
        found = fingerprint(frozen_weights(backbone))
        if not same_values(self.selection_fingerprint.cpu(), found):
            raise UsageError(
                f'the selection {self.selection} of {self.kind} was made for '
                'other frozen weights; load the weights it was made for, or '
                'make another with `mmdavpt select`'
            )
        self._checked = True

    def selection_state(
        self, backbone: nn.Module, scores: Scores
    ) -> dict[str, Tensor]:
        """Return a selection with its settings and fingerprint.

        Args:
            backbone (nn.Module): See :meth:`select`.
            scores (Scores): See :meth:`select`.
        """
        settings = torch.tensor([*self._made_with()], dtype=torch.uint8)
        return {
            **self.select(backbone, scores),
            SETTINGS: settings,
            FROZEN: fingerprint(frozen_weights(backbone)),
        }

    @abstractmethod
    def watched(self, backbone: nn.Module) -> list[nn.Parameter]:
        """Return the parameters whose gradients decide, frozen ones too.

        Args:
            backbone (nn.Module): The ``PromptedBackbone``.
        """

    @abstractmethod
    def score(self, value: Tensor, gradient: Tensor) -> Tensor:
        """Return what a batch adds to the score of a parameter.

        Args:
            value (Tensor): The parameter.
            gradient (Tensor): The gradient of the batch's loss, of the same
                shape.
        """

    @abstractmethod
    def select(self, backbone: nn.Module, scores: Scores) -> dict[str, Tensor]:
        """Return the tensors of a selection, as :attr:`selected` has them.

        Args:
            backbone (nn.Module): The ``PromptedBackbone``.
            scores (Scores): Sums of :meth:`score`, for each of
                :meth:`watched`.
        """
