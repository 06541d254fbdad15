"""Models, batches and steps to measure."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmpretrain.models import VisionTransformer
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmdavpt.errors import UsageError
from mmdavpt.models.backbones import frozen_prefix
from mmdavpt.registry import MODELS

from .forms import FORMS
from .timing import PRECISIONS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / '_base_' / 'models'
FAMILIES = {
    'vit': CONFIGS / 'davpt-vit-b_linear.py',
    'setr': CONFIGS / 'davpt-vit-l_setr-pup.py',
}


@dataclass(frozen=True)
class Case:
    """The setting of a comparison, the same for all forms.

    Attributes:
        model (str): 'vit' (classifier) or 'setr' (segmentor), a dash, and an
            architecture of MMPretrain, such as 'vit-b'.
        prompts (int): Prompts per layer. Defaults to 20.
        batch (int): Images per step. Defaults to 8.
        size (int): Height and width of an image in pixels. Defaults to 224.
        classes (int): Defaults to 100.
        patch (int): Height and width of a patch in pixels. Defaults to 16.
        precision (str): Key of :data:`.timing.PRECISIONS`: 'bf16' and 'fp16'
            are autocast. Defaults to 'fp32'.
    """

    model: str
    prompts: int = 20
    batch: int = 8
    size: int = 224
    classes: int = 100
    patch: int = 16
    precision: str = 'fp32'

    @property
    def family(self) -> str:
        """'vit' or 'setr'."""
        return self.model.partition('-')[0]

    @property
    def arch(self) -> dict:
        """The sizes of the Vision Transformer in MMPretrain.

        Raises:
            UsageError: If there is no such model.
        """
        family, _, arch = self.model.partition('-')
        if family not in FAMILIES or arch not in VisionTransformer.arch_zoo:
            raise UsageError(
                f'a model should be one of {sorted(FAMILIES)}, a dash and one '
                f'of {sorted(VisionTransformer.arch_zoo)}, such as vit-b, but '
                f'got {self.model!r}'
            )
        return VisionTransformer.arch_zoo[arch]


def model_config(case: Case, form: str) -> dict:
    """Return the config of a model in the size of a case.

    Args:
        case (Case): The case.
        form (str): Key of ``FORMS``.
    """
    kind, arch = FORMS[form], case.arch
    model = copy.deepcopy(
        Config.fromfile(FAMILIES[case.family]).model.to_dict()
    )
    layers = arch['num_layers']
    model['backbone'].update(
        type=kind.backbone,
        arch=arch,
        img_size=case.size,
        patch_size=case.patch,
        num_prompts=case.prompts,
    )
    model['backbone'].update(kind.changes(layers, case.prompts))
    if kind.backbone is VisionTransformer:
        model['backbone'].pop('num_prompts')
    if not kind.guided:
        model['guidance'] = None
    if case.family == 'vit':
        if model['backbone'].get('out_type') == 'featmap':
            model['neck'] = dict(type='GlobalAveragePooling')
        model['head'].update(
            num_classes=case.classes, in_channels=arch['embed_dims']
        )
        return model
    model['num_classes'] = case.classes
    # SyncBN needs several processes on GPUs.
    heads = [model['decode_head'], *model['auxiliary_head']]
    for head in heads:
        head.update(
            in_channels=arch['embed_dims'],
            norm_cfg=dict(type='BN', requires_grad=True),
        )
    if layers != 24:
        model['backbone']['out_indices'] = [
            layers * (i + 1) // 4 - 1 for i in range(4)
        ]
    model['data_preprocessor']['size'] = (case.size, case.size)
    return model


def build_model(case: Case, form: str) -> nn.Module:
    """Build a model of a form, ready to train.

    Args:
        case (Case): The case.
        form (str): Key of ``FORMS``.

    Returns:
        nn.Module: A classifier or a segmentor. Classes are assigned
        to prompts in turn: any mapping costs the same.
    """
    scope = 'mmpretrain' if case.family == 'vit' else 'mmseg'
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(model_config(case, form))
    if FORMS[form].backbone is VisionTransformer:
        model.backbone.requires_grad_(False)
        model.backbone.eval()
    map_classes(model, case)
    return model


def map_classes(model: nn.Module, case: Case) -> None:
    """Assign classes to prompts in turn, if prompts are guided.

    Args:
        model (nn.Module): A classifier or a segmentor.
        case (Case): The case.
    """
    if model.guidance is not None:
        model.guidance.initialized.fill_(True)
        classes = torch.arange(case.classes)
        model.guidance.mapping.copy_(classes % case.prompts)


def share_weights(
    models: Mapping[str, nn.Module],
    rename: Callable[[str], str] = lambda name: name,
) -> None:
    """Give all models the weights of the first; share the frozen ones.

    Args:
        models (Mapping[str, nn.Module]): Forms of one case. Parameters that
            the first lacks, such as prompts, come from the next model.
        rename (Callable): From the name of a parameter to the one by which
            models share it. Defaults to the same name.
    """
    pool: dict[str, Tensor] = {}
    for model in models.values():
        adopt_weights(model, pool, rename)


def adopt_weights(
    model: nn.Module, pool: dict[str, Tensor], rename: Callable[[str], str]
) -> None:
    """Give a model the weights of a pool, which gets those that it lacks.

    Args:
        model (nn.Module): The model. Frozen weights share memory.
        pool (dict[str, Tensor]): Names to weights.
        rename (Callable): See :func:`share_weights`.
    """
    for name, parameter in model.named_parameters():
        own = parameter.data
        own = own.clone() if parameter.requires_grad else own
        given = pool.setdefault(rename(name), own)
        if given.shape != parameter.shape:
            continue
        if parameter.requires_grad:
            parameter.data.copy_(given)
        else:
            parameter.data = given


def make_batch(case: Case, device: str) -> tuple[Tensor, list]:
    """Return images of noise and samples with classes, always the same.

    Args:
        case (Case): The case.
        device (str): Their device.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (case.batch, 3, case.size, case.size)
    images = torch.randn(shape, generator=generator).to(device)
    samples = []
    for i in range(case.batch):
        label = i * 7 % case.classes
        if case.family == 'vit':
            sample = DataSample().set_gt_label(label)
        else:
            sample = SegDataSample(
                metainfo=dict(
                    guidance_label=label,
                    img_shape=shape[2:],
                    ori_shape=shape[2:],
                    pad_shape=shape[2:],
                )
            )
            pixels = torch.full((1, *shape[2:]), label)
            sample.gt_sem_seg = PixelData(data=pixels)
        samples.append(sample.to(device))
    return images, samples


def training_step(
    model: nn.Module, case: Case, device: str, cached: bool = False
) -> tuple[Callable[[], Tensor], Callable[[Tensor], None]]:
    """Return the two halves of a training step: forward, and the rest.

    The rest is backward and a step of AdamW. float16 scales the loss by a
    constant, which costs as much as a dynamic scale.

    Args:
        model (nn.Module): The model, in training mode.
        case (Case): The case.
        device (str): Its device.
        cached (bool): Whether it starts from cached tokens. Defaults to
            False.

    Returns:
        tuple[Callable, Callable]: The first returns the loss, which the
        second takes.
    """
    images, samples = make_batch(case, device)
    if cached:
        with autocast(case.precision, device):
            images = frozen_prefix(model.backbone, images)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5)
    scale = 1024.0 if case.precision == 'fp16' else 1.0

    def forward() -> Tensor:
        with autocast(case.precision, device):
            losses = model(images, samples, mode='loss')
            return model.parse_losses(losses)[0]

    def rest(loss: Tensor) -> None:
        (loss * scale).backward()
        optimizer.step()
        optimizer.zero_grad()

    return forward, rest


def inference_step(
    model: nn.Module, case: Case, device: str
) -> Callable[[], Tensor]:
    """Return a function that gives the logits of the batch.

    Args:
        model (nn.Module): The model, in evaluation mode.
        case (Case): The case.
        device (str): Its device.
    """
    images, samples = make_batch(case, device)

    def run() -> Tensor:
        with torch.no_grad(), autocast(case.precision, device):
            return model(images, samples, mode='tensor')

    return run


def autocast(precision: str, device: str) -> torch.autocast:
    """Return the context of a precision.

    Args:
        precision (str): Key of :data:`.timing.PRECISIONS`.
        device (str): The device.
    """
    dtype = PRECISIONS[precision]
    kind, low = torch.device(device).type, dtype != torch.float32
    return torch.autocast(kind, dtype if low else None, enabled=low)
