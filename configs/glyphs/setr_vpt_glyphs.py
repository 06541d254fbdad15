"""VPT-Deep on glyph scenes: setr_davpt_glyphs.py without guidance.

Command: python tools/train.py configs/glyphs/setr_vpt_glyphs.py
"""

_base_ = './setr_davpt_glyphs.py'

model = dict(guidance=None)
