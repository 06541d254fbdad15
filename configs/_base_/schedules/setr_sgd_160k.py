"""SETR's schedule: SGD with momentum, heads ten times faster, poly decay.

The paper names AdamW and a range of rates for classification, but no rate for
segmentation, where it follows SETR. SETR's recipe is complete, its heads were
tuned with it, and published scores of other methods that keep ViT-L frozen
come from it or near it, so results can be compared.
"""

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmdavpt.TrainableOptimWrapperConstructor',
    # No weight decay, as in SETR: neither heads nor prompts are shrunk.
    optimizer=dict(type='SGD', lr=1e-3, momentum=0.9, weight_decay=0.0),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0))),
)
# It ends with the training, since it has no `end`.
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-4, power=0.9, by_epoch=False)
]
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=160000, val_interval=16000
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
