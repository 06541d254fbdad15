"""The preflight: all checks of a config before a run loads anything."""

from functools import partial

from mmengine.config import Config

from mmdavpt.engine.runner import check_engine
from mmdavpt.errors import UsageError

from . import fit, silent
from .build import DryRunner, quietly

#: Checks of a config and its parts. Each yields a sentence for each mistake.
ERRORS = (
    *(partial(silent.unread_keys, errors=True), silent.added_default_hooks),
    *(silent.hidden_preprocessing, silent.text_as_classes),
    *(silent.single_classes, silent.learnt_padding, fit.wrong_losses),
    *(silent.metric_disagreements, silent.incomplete_evaluation),
    fit.class_mismatches,
)
TRAINING_ERRORS = (
    *(silent.endless_epochs, silent.unit_mismatches, silent.wrong_rules),
    *(fit.missing_weights, fit.guided_label_lists),
)
WARNINGS = (partial(silent.unread_keys, errors=False),)
TRAINING_WARNINGS = (
    *(silent.unmatched_patterns, silent.long_warm_ups),
    silent.unshuffled_training,
)


def preflight(cfg: Config, training: bool) -> list[str]:
    """Build every part of a run dry, and look for silent mistakes.

    Args:
        cfg (Config): The merged config.
        training (bool): Whether the run is a training, not a test.

    Returns:
        list[str]: Warnings, one sentence each.

    Raises:
        UsageError: If the config cannot run, or would not do what it says.
    """
    check_engine(cfg)
    dry = DryRunner(cfg, training)
    with quietly(cfg):
        for check in ERRORS + TRAINING_ERRORS * training:
            for sentence in check(cfg, dry):
                raise UsageError(f'the config cannot be run: {sentence}')
        checks = WARNINGS + TRAINING_WARNINGS * training
        return [sentence for check in checks for sentence in check(cfg, dry)]
