"""The control of davpt_glyphs.py: VPT-Deep, the same run without guidance.

Command: python tools/train.py configs/glyphs/vpt_glyphs.py
"""

_base_ = './davpt_glyphs.py'

model = dict(guidance=None)
