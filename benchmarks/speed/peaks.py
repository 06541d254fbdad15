"""Peak rates of GPUs, and the share of them that a step reaches."""

import re
from collections.abc import Mapping

from .measuring import Row
from .timing import spread

#: TFLOP/s of dense matrix products, from NVIDIA's data sheets. These state
#: the rates of tensor cores with sparsity, which are twice as high.
PEAKS = {
    'H200 NVL': dict(fp32=60, tf32=417.5, bf16=835.5, fp16=835.5),
    'H200': dict(fp32=67, tf32=494.5, bf16=989.5, fp16=989.5),
    'H100 NVL': dict(fp32=60, tf32=417.5, bf16=835.5, fp16=835.5),
    'H100 PCIe': dict(fp32=51, tf32=378, bf16=756.5, fp16=756.5),
    'H100': dict(fp32=67, tf32=494.5, bf16=989.5, fp16=989.5),
    'A100': dict(fp32=19.5, tf32=156, bf16=312, fp16=312),
    'L4': dict(fp32=30.3, tf32=60, bf16=121, fp16=121),
}


def peaks_of(device_name: str) -> dict[str, float]:
    """Return the peak of each precision in TFLOP/s; empty if unknown.

    Args:
        device_name (str): As PyTorch names the device, such as
            'NVIDIA A100-SXM4-80GB'.
    """
    for name, peaks in PEAKS.items():
        if re.search(rf'\b{name}\b', device_name):
            return dict(peaks)
    return {}


def rates(row: Row, peaks: Mapping[str, float]) -> dict[str, float | None]:
    """Return what a timed row reaches, by the median of its times.

    Args:
        row (Row): The row.
        peaks (Mapping[str, float]): Precision to TFLOP/s.

    Returns:
        dict[str, float | None]: ``ms_per_image``, ``images_per_s``,
        ``tflops``, ``share_of_peak`` (None if the peak is unknown),
        ``share_of_matmul`` and ``peak_mib``.
    """
    seconds, batch = spread(row.seconds)[0], row.case.batch
    reached = row.flops / seconds
    peak = peaks.get(row.case.precision)
    return dict(
        ms_per_image=1e3 * seconds / batch,
        images_per_s=batch / seconds,
        tflops=reached / 1e12,
        share_of_peak=reached / 1e12 / peak if peak else None,
        share_of_matmul=reached / row.matmul,
        peak_mib=row.peak / 2**20,
    )
