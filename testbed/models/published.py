"""Accuracies that others published of the trained networks whose graphs are drawn here with random weights."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.models.accuracy import Accuracy

_TORCHVISION = "https://docs.pytorch.org/vision/stable/models/generated/torchvision.models"
_TENSORRT_ZOO = "https://docs.nvidia.com/deeplearning/tensorrt/tensorflow-quantization-toolkit/docs/docs/model_zoo.html"
_OPENVINO = "https://docs.openvino.ai/2025/about-openvino/performance-benchmarks/model-accuracy-int8-fp32.html"
_MLPERF_MOBILE = "https://github.com/mlcommons/mobile_open/blob/main/language/bert/README.md"
_MLPERF = "https://github.com/mlcommons/inference/blob/master/vision/classification_and_detection/README.md"
_TENSORFLOW = (
    "rounded to a percent, https://github.com/tensorflow/models/blob/master/research/object_detection/g3doc/"
    "tf1_detection_zoo.md"
)

_ByPrecision = Mapping[str, Accuracy]
_TOP1, _MAP, _F1 = "ImageNet top-1", "COCO mAP", "SQuAD v1.1 F1"


def _published(metric: str, fp32: tuple[float, str], int8: tuple[float, str]) -> _ByPrecision:
    """Values with their sources; for FP16 no figure was found, and FP32's is assumed."""
    return {
        "fp32": Accuracy(fp32[0], metric, "published", fp32[1]),
        "fp16": Accuracy(fp32[0], metric, "assumed", f"FP32's: no figure for FP16 was found; FP32's is: {fp32[1]}"),
        "int8": Accuracy(int8[0], metric, "published", int8[1]),
    }


def _with_fp16(fp32: tuple[float, str], fp16_difference: float, int8: tuple[float, str]) -> _ByPrecision:
    return {
        "fp32": Accuracy(fp32[0], _TOP1, "published", fp32[1]),
        "fp16": Accuracy(
            fp32[0] + fp16_difference, _TOP1, "published", f"FP32 and the difference found in {_OPENVINO}"
        ),
        "int8": Accuracy(int8[0], _TOP1, "published", int8[1]),
    }


def _torchvision(name: str) -> str:
    return f"IMAGENET1K_V1, {_TORCHVISION}.{name}.html"


def _quantised(name: str, weights: str) -> str:
    return f"{weights}, quantised after training, {_TORCHVISION}.quantization.{name}.html"


_DETECTOR_V3 = f"COCO_V1, {_TORCHVISION}.detection.ssdlite320_mobilenet_v3_large.html"

PUBLISHED: Mapping[str, _ByPrecision] = {
    "inception-v1": _published(
        _TOP1, (0.69778, _torchvision("googlenet")), (0.69826, _quantised("googlenet", "IMAGENET1K_FBGEMM_V1"))
    ),
    "inception-v3": _published(
        _TOP1,
        (0.77294, _torchvision("inception_v3")),
        (0.77176, _quantised("inception_v3", "IMAGENET1K_FBGEMM_V1")),
    ),
    "mobilebert": _published(_F1, (0.90, _MLPERF_MOBILE), (0.88, f"quantisation-aware training, {_MLPERF_MOBILE}")),
    "mobilenet-v1": _published(_TOP1, (0.71676, _MLPERF), (0.70694, _MLPERF)),
    "mobilenet-v2": _with_fp16(
        (0.7177, f"baseline, {_TENSORRT_ZOO}"),
        -0.0003,
        (0.7087, f"quantised after training (PTQ), {_TENSORRT_ZOO}"),
    ),
    "mobilenet-v3": _published(
        _TOP1,
        (0.74042, _torchvision("mobilenet_v3_large")),
        (0.73004, f"IMAGENET1K_QNNPACK_V1, {_TORCHVISION}.quantization.mobilenet_v3_large.html"),
    ),
    "resnet50": _with_fp16(
        (0.7613, _torchvision("resnet50")), 0.0001, (0.7592, _quantised("resnet50", "IMAGENET1K_FBGEMM_V1"))
    ),
    "ssd-mobilenet-v1": _published(_MAP, (0.23, _MLPERF), (0.23594, _MLPERF)),
    "ssd-mobilenet-v2": _published(_MAP, (0.22, _TENSORFLOW), (0.22, _TENSORFLOW)),
    "ssd-mobilenet-v3": {
        "fp32": Accuracy(0.213, _MAP, "published", _DETECTOR_V3),
        "fp16": Accuracy(0.213, _MAP, "assumed", f"FP32's: no figure for FP16 was found; FP32's is: {_DETECTOR_V3}"),
        "int8": Accuracy(0.213, _MAP, "assumed", f"FP32's: no figure for INT8 was found; FP32's is: {_DETECTOR_V3}"),
    },
}
"""network -> precision -> accuracy of the trained network"""
