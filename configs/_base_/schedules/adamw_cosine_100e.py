"""The paper's classification schedule (A.2): AdamW, 100 epochs, cosine."""

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmdavpt.TrainableOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01),
    # Prompts act through LN1 only, which ignores their scale: decay would
    # change nothing but the size of their steps.
    paramwise_cfg=dict(custom_keys=dict(prompts=dict(decay_mult=0.0))),
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
val_cfg = dict()
test_cfg = dict()
