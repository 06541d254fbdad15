"""Write tiny models of Hugging Face transformers and their tokens.

    python tests/data/transformers/make.py

needs transformers 5, which MMPretrain does not import next to pycocotools, so
the tests read these files instead: random weights in the names of the Hub, and
what the model computes of ``images``.
"""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import transformers
from safetensors.torch import load_file, save_file

SIZES = dict(
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    image_size=16,
    patch_size=4,
)
#: Name of the model, or with a variant after a hyphen, to its options.
KINDS = {
    'ViT': dict(layer_norm_eps=1e-6),
    'Dinov2': dict(mlp_ratio=2),
    'Dinov2-SwiGLU': dict(mlp_ratio=2, use_swiglu_ffn=True),
    'Dinov2WithRegisters': dict(mlp_ratio=2, num_register_tokens=4),
    'DINOv3ViT': dict(
        num_register_tokens=4, query_bias=False, value_bias=False
    ),
    'DINOv3ViT-Bias': dict(num_register_tokens=4),
    'DINOv3ViT-Plus': dict(
        num_register_tokens=4, use_gated_mlp=True, hidden_act='silu'
    ),
    'CLIPVision': {},
    'SiglipVision': dict(hidden_act='gelu'),  # as in timm's base model
}


def main(folder: Path) -> None:
    """Write a file for each kind."""
    for kind, options in KINDS.items():
        torch.manual_seed(0)
        name = re.sub('-.*', '', kind)
        config = getattr(transformers, f'{name}Config')(**SIZES, **options)
        model = getattr(transformers, f'{name}Model')(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
            images = torch.randn(1, 3, 16, 16)
            out = model(images)
        with TemporaryDirectory() as saved:
            model.save_pretrained(saved)
            published = load_file(Path(saved, 'model.safetensors'))
        file = {f'published.{k}': v for k, v in published.items()}
        file.update({f'now.{k}': v for k, v in model.state_dict().items()})
        file.update(images=images, tokens=out.last_hidden_state)
        if out.pooler_output is not None:
            file['pooled'] = out.pooler_output
        file = {key: value.clone() for key, value in file.items()}
        save_file(file, folder / f'{kind}.safetensors')


if __name__ == '__main__':
    main(Path(__file__).parent)
