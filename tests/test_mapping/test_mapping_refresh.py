"""When runs of both loops re-cluster, and from which samples."""

import pytest
import torch
from mmengine.hooks import Hook

from mmdavpt.models import PromptGuidance
from tests import toy


class Counter(Hook):
    """Counts re-clusterings, and samples that each was made from."""

    priority = 'VERY_LOW'

    def __init__(self, monkeypatch):
        self.sizes, self.iterations, self.reductions = [], [], 0
        self.runner = None
        cluster = PromptGuidance.cluster
        update = PromptGuidance.update_representations
        collect = PromptGuidance.collect

        def counted_update(guidance):
            self.sizes.append(int(guidance.class_counts.sum()))
            return update(guidance)

        def counted_cluster(guidance):
            self.iterations.append(self.runner.iter)
            return cluster(guidance)

        def counted_collect(guidance):
            self.reductions += 1
            return collect(guidance)

        monkeypatch.setattr(
            PromptGuidance, 'update_representations', counted_update
        )
        monkeypatch.setattr(PromptGuidance, 'cluster', counted_cluster)
        monkeypatch.setattr(PromptGuidance, 'collect', counted_collect)

    def run(self, runner):
        self.runner = runner
        runner.register_hook(self)
        runner.train()
        return self

    def before_train(self, runner):
        self.first = runner.model.guidance.mapping.clone()


def with_hook(build, folder, changes=None, **options):
    hook = dict(type='mmdavpt.PromptMappingHook', **options)
    return build(folder, {'custom_hooks': [hook], **(changes or {})})


#: Epochs of 3 iterations of 8 images, 4 of them, or of 2 iterations of 4
#: images, 8 of these.
LONG = {
    toy.classification: {'train_cfg.max_epochs': 4},
    toy.segmentation: {'train_cfg.max_iters': 16},
}
NEVER = [dict(interval=None), dict(begin=100)]


def slow(*values):
    """Mark a set of arguments that differs little from the others."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    'options, sizes',
    [
        (dict(), [24, 24, 24, 24]),
        (dict(interval=2), [48, 48]),
        (dict(interval=3), [72]),
        (dict(begin=3), [24, 24]),
        (dict(interval=2, begin=1), [24, 48]),
        (dict(interval=2, begin=3), [48]),
        *((never, []) for never in NEVER),
    ],
)
def test_epoch_loop(runner_from, tmp_path, monkeypatch, options, sizes):
    cfg = with_hook(
        toy.classification, tmp_path, LONG[toy.classification], **options
    )
    counter = Counter(monkeypatch).run(runner_from(cfg))
    # The first is of the pass before training.
    assert counter.sizes == [24, *sizes]
    if not sizes:
        guidance = counter.runner.model.guidance
        assert torch.equal(guidance.mapping, counter.first)
        assert counter.reductions == 1
        assert not guidance.class_counts.any() and not guidance.new_sums.any()


@pytest.mark.parametrize(
    'options, iterations, sizes',
    [
        (dict(interval=4), [7, 15], [32, 32]),
        (dict(begin=7), [13, 15], [8, 8]),
        (dict(interval=4, begin=2), [3, 11], [16, 32]),
        (dict(interval=2, begin=2, iters_per_epoch=3), [5, 11], [24, 24]),
        *((never, [], []) for never in NEVER),
    ],
)
def test_iteration_loop(
    runner_from, tmp_path, monkeypatch, options, iterations, sizes
):
    cfg = with_hook(
        toy.segmentation, tmp_path, LONG[toy.segmentation], **options
    )
    counter = Counter(monkeypatch).run(runner_from(cfg))
    assert counter.iterations == [0, *iterations]
    assert counter.sizes[1:] == sizes
    if not sizes:
        assert torch.equal(
            counter.runner.model.guidance.mapping, counter.first
        )
        assert counter.reductions == 1


@pytest.mark.parametrize(
    'build, options, stop, left',
    [
        (toy.classification, dict(interval=2), 1, [48, 48]),
        (toy.segmentation, dict(interval=2, begin=5), 7, [16, 16]),
        slow(toy.classification, dict(begin=3), 2, [24, 24]),
        slow(toy.classification, dict(interval=None), 2, []),
        slow(toy.segmentation, dict(interval=None), 7, []),
    ],
)
def test_resume(
    runner_from, tmp_path, monkeypatch, build, options, stop, left
):
    """A resumed run re-clusters as an uninterrupted one does."""
    changes = dict(LONG[build])
    whole = runner_from(
        with_hook(build, tmp_path / 'whole', changes, **options)
    )
    whole.train()
    unit = next(iter(changes))
    half = {**changes, unit: stop}
    runner_from(with_hook(build, tmp_path / 'half', half, **options)).train()
    resumed = runner_from(
        with_hook(build, tmp_path / 'half', changes, **options),
        resume=True,
        experiment_name=f'resumed_{stop}',
    )
    counter = Counter(monkeypatch).run(resumed)
    assert counter.sizes == left
    expected = whole.model.state_dict()
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_a_later_schedule_drops_samples_of_a_checkpoint(
    runner_from, tmp_path, monkeypatch
):
    """Samples before are not mixed with those of epochs later."""
    cfg = with_hook(
        toy.classification, tmp_path, {'train_cfg.max_epochs': 1}, interval=2
    )
    runner = runner_from(cfg)
    runner.train()
    assert runner.model.guidance.class_counts.sum() == 24
    later = with_hook(
        toy.classification, tmp_path, LONG[toy.classification], begin=3
    )
    counter = Counter(monkeypatch).run(
        runner_from(later, resume=True, experiment_name='later')
    )
    assert counter.sizes == [24, 24]


def test_contradicting_options_are_rejected(runner_from, tmp_path):
    cfg = with_hook(toy.classification, tmp_path, interval=None, begin=10)
    with pytest.raises(ValueError, match='interval=None never re-clusters'):
        runner_from(cfg)
