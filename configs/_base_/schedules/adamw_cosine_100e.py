"""The paper's classification schedule (A.2): AdamW, 100 epochs, cosine."""

# The default weight decay, and the unit of `decay_mult`.
decay_unit = 0.01
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmdavpt.TrainableOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=decay_unit),
    paramwise_cfg=dict(
        flat_decay_mult=0.0,  # biases and norms
        custom_keys={
            'head.fc.weight': dict(decay_mult=1.0),
            # Prompts act through LN1 only, which ignores their length. Decay
            # keeps them short, so their direction changes in large steps.
            'prompts': dict(decay_mult=1.0),
            'bias_delta': dict(decay_mult=0.0),
        },
    ),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        end=10,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-8,
        begin=10,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
test_cfg = dict()
