"""Datasets of characters, drawn on the fly, that need no download."""

from .dataset import GlyphADE20KDataset, GlyphDataset, GlyphSceneDataset
