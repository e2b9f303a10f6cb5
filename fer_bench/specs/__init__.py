"""What plugins return: frozen descriptions of data sets, protocols, backbones, strategies, metrics and executors.

A spec carries names and numbers; what is heavy (a TFDS builder, a Flax module) it names as an
``"package.module:attribute"`` reference, so that listing plugins imports neither jax nor TFDS.
"""

from __future__ import annotations

from fer_bench.specs.backbones import (
    LARGEST_SIDE,
    AdjustableExtractor,
    BackboneParams,
    BackboneSpec,
    Extractor,
    ImageInput,
    NetworkInput,
    WeightsSpec,
)
from fer_bench.specs.datasets import Counts, DatasetParams, DatasetSpec, Sample, SplitRole
from fer_bench.specs.executors import ExecutorSpec
from fer_bench.specs.metrics import MetricSpec
from fer_bench.specs.params import INTERFACE_VERSION, Params, resolve
from fer_bench.specs.protocols import MOST_FOLDS, ProtocolSpec
from fer_bench.specs.strategies import (
    AnswerPhase,
    ConvexPhase,
    GradientPhase,
    Phase,
    Plan,
    ReadoutPhase,
    Rule,
    StrategyParams,
    StrategySpec,
)

__all__ = [
    "INTERFACE_VERSION",
    "LARGEST_SIDE",
    "MOST_FOLDS",
    "AdjustableExtractor",
    "AnswerPhase",
    "BackboneParams",
    "BackboneSpec",
    "ConvexPhase",
    "Counts",
    "DatasetParams",
    "DatasetSpec",
    "ExecutorSpec",
    "Extractor",
    "GradientPhase",
    "ImageInput",
    "MetricSpec",
    "NetworkInput",
    "Params",
    "Phase",
    "Plan",
    "ProtocolSpec",
    "ReadoutPhase",
    "Rule",
    "Sample",
    "SplitRole",
    "StrategyParams",
    "StrategySpec",
    "WeightsSpec",
    "resolve",
]
