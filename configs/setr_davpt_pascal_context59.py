"""DA-VPT on PASCAL Context-59: the background is ignored.

Command: tools/dist_train.sh configs/setr_davpt_pascal_context59.py 8
Hardware: 8 GPUs with 2 images each; 13,541,612 parameters train.
Paper: none; its Table 2 is on 60 classes (setr_davpt_pascal_context.py).
Ours: not run here, needs ImageNet-21k weights and PASCAL Context.
"""

_base_ = './setr_davpt_pascal_context.py'

model = dict(num_classes=59, guidance=dict(background_class=None))
# This dataset turns label 0 into 255 (ignored) and the others into 0 to 58.
context59 = dict(dataset=dict(type='PascalContextDataset59'))
train_dataloader = context59
val_dataloader = context59
test_dataloader = val_dataloader
