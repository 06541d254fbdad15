"""Base of tuners that are configured by gradients of the training data."""

import json
import os.path as osp

import torch
from torch import Tensor, nn

from mmdavpt.checkpoints.reading import read_run_checkpoint
from mmdavpt.checkpoints.tuned import fingerprint, frozen_weights, same_values
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
        **settings (object): What the selection depends on, as JSON has it.

    Attributes:
        first (bool): Whether the tuner needs its selection before it can
            train; else it is made from a trained checkpoint.
        batches (int | None): The number of batches of the pass. None for the
            whole training set.

    Raises:
        UsageError: If the file cannot be read, or was made with other
            settings.
    """

    first = True
    batches: int | None = None

    def __init__(
        self, sizes: BackboneSizes, selection: str | None, **settings: object
    ) -> None:
        super().__init__(sizes)
        self.selection, self._checked = selection, False
        settings.update(type=type(self).__name__, layers=sizes.num_layers)
        self.settings = settings
        code = [*json.dumps(settings, sort_keys=True).encode()]
        self._encoded = torch.tensor(code, dtype=torch.uint8, device='cpu')
        for name, value in self._read(selection).items():
            self.register_buffer(name, value)

    def _read(self, file: str | None) -> dict[str, Tensor]:
        """Return the buffers of the selection; none before there is one."""
        if file is None:
            return {}
        # Without a file, the error below says what to do.
        content = read_run_checkpoint(file) if osp.isfile(file) else {}
        state = content.get('state_dict', {})
        for key, value in state.items():
            if key.endswith(SETTINGS) and torch.equal(value, self._encoded):
                prefix = key.removesuffix(SETTINGS)
                return {
                    n.removeprefix(prefix): v
                    for n, v in state.items()
                    if n.startswith(prefix) and not v.is_floating_point()
                }
        raise UsageError(
            f'{file}{"" if osp.isfile(file) else " is missing; it"} should be '
            f'a selection with the settings {self.settings}, or a checkpoint '
            'trained with it; make another by `mmdavpt select CONFIG FILE`, '
            'or correct path and settings'
        )

    def _made_for(self, backbone: nn.Module) -> Tensor:
        """Return the fingerprint of frozen weights and of watched shapes."""
        key = str([tuple(p.shape) for p in self.watched(backbone)])
        return fingerprint({**frozen_weights(backbone), key: torch.zeros(0)})

    def check_selection(self, backbone: nn.Module) -> None:
        """Check before training that the selection fits the frozen weights.

        Args:
            backbone (nn.Module): The ``PromptedBackbone``, with its weights.

        Raises:
            UsageError: If it does not, or is missing.
        """
        if self._checked or self.selection is None and not self.first:
            return
        self._checked = self.selection is not None and same_values(
            self.selection_fingerprint.cpu(), self._made_for(backbone)
        )
        if not self._checked:
            raise UsageError(
                f'{type(self).__name__} trains with a selection made for its '
                'frozen weights and numbers of prompts, which selection='
                f'{self.selection!r} is not; make one by `mmdavpt select '
                'CONFIG FILE`'
            )

    def selection_state(self, backbone: nn.Module, scores: dict) -> dict:
        """Return a selection with its settings and fingerprint.

        Args:
            backbone (nn.Module): See :meth:`select`.
            scores (dict): See :meth:`select`.
        """
        return {
            **self.select(backbone, scores),
            SETTINGS: self._encoded,
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
