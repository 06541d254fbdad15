"""VPT-Deep on glyphs: davpt_glyphs.py without guidance.

Command: python tools/train.py configs/glyphs/vpt_glyphs.py
"""

_base_ = './davpt_glyphs.py'

model = dict(guidance=None)
