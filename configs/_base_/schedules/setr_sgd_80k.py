"""SETR's schedule with half the iterations."""

_base_ = './setr_sgd_160k.py'

train_cfg = dict(max_iters=80000, val_interval=8000)
