"""What the law needs to know of a network: the kind of its layers, its arithmetic, its traffic, its number of kernels.

The table holds the networks whose latencies are published for the boards, and the others AutoScale runs. MACs,
parameters and layers are counted on the graphs. Activations are the outputs of the layers: column infer_macts of the
benchmark tables of huggingface/pytorch-image-models where the network is there, else counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

DENSE = "dense"
SEPARABLE = "separable"
INVERTED = "inverted"
ATTENTION = "attention"

ITEM_BYTES: Mapping[str, int] = MappingProxyType({"fp32": 4, "fp16": 2, "int8": 1})
"""precision -> bytes of a number, widest first"""


@dataclass(frozen=True, slots=True)
class Work:
    """One inference, as a processor sees it."""

    kind: str
    """what decides how well the units are used: convolutions that are DENSE, depthwise SEPARABLE (MobileNet v1) or in
    INVERTED residuals (MobileNet v2 and later), or ATTENTION"""
    macs: float
    bytes_moved: float
    """weights and activations that pass through memory"""
    kernels: int
    """launches: the layers that compute"""


@dataclass(frozen=True, slots=True)
class KnownNetwork:
    """A network of the literature; millions, except for the kernels."""

    kind: str
    mmacs: float
    mparameters: float
    mactivations: float
    kernels: int

    def work(self, precision: str) -> Work:
        """Weights are read once, activations written and read."""
        elements = 1e6 * (self.mparameters + 2.0 * self.mactivations)
        return Work(self.kind, 1e6 * self.mmacs, ITEM_BYTES[precision] * elements, self.kernels)


NETWORKS: Mapping[str, KnownNetwork] = MappingProxyType(
    {
        "resnet50": KnownNetwork(DENSE, 4089, 25.5, 11.1, 54),
        "inceptionv1": KnownNetwork(DENSE, 1583, 7.0, 3.2, 58),
        "inceptionv3": KnownNetwork(DENSE, 5713, 23.8, 9.0, 95),
        "mobilenetv1": KnownNetwork(SEPARABLE, 569, 4.22, 5.0, 28),
        "mobilenetv2": KnownNetwork(INVERTED, 301, 3.49, 6.7, 53),
        "mobilenetv3": KnownNetwork(INVERTED, 217, 5.47, 4.4, 64),
        "efficientnetlite0": KnownNetwork(INVERTED, 385, 4.65, 6.7, 50),
        "ssdmobilenetv1": KnownNetwork(SEPARABLE, 1237, 6.81, 9.7, 47),
        "ssdmobilenetv2": KnownNetwork(INVERTED, 1888, 16.8, 12.4, 72),
        "ssdmobilenetv3": KnownNetwork(INVERTED, 583, 3.44, 9.7, 98),
        # MobileBERT (Sun et al. 2020), 128 tokens: 362 linear layers, two products of attention in each of 24 blocks.
        "mobilebert": KnownNetwork(ATTENTION, 2693, 24.4, 13.4, 410),
        # BERT-Large (Devlin et al. 2019), 384 tokens, MLPerf's longest: 24 blocks of 12 h^2 s + 2 s^2 h, h = 1024;
        # eight kernels a block once fused.
        "bertlarge": KnownNetwork(ATTENTION, 24 * (12 * 1.048576 * 384 + 2 * 0.147456 * 1024), 335.0, 150.0, 192),
    }
)


def work_of(name: str, precision: str, macs: float, bytes_moved: float) -> Work:
    """A model by its name, MACs and traffic. One the table lacks takes after the nearest in MACs, and MACs a byte."""
    known = NETWORKS.get(plain(name))
    if known is None:
        here = Work("", max(macs, 1.0), max(bytes_moved, 1.0), 0)
        known = min(NETWORKS.values(), key=lambda other: _distance(other.work(precision), here))
    return Work(known.kind, macs, bytes_moved, known.kernels)


def plain(name: str) -> str:
    """A network's name without what authors put between its parts: "MobileNet v2 1.0" and "mobilenet_v2" are one."""
    letters = "".join(character for character in name.lower() if character.isalnum())
    return next((known for known in sorted(NETWORKS, key=len, reverse=True) if letters.startswith(known)), letters)


def _distance(a: Work, b: Work) -> float:
    intensity = math.log(a.macs / a.bytes_moved) - math.log(b.macs / b.bytes_moved)
    return math.hypot(intensity, math.log(a.macs / b.macs))
