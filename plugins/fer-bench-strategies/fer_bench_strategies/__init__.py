"""Fine-tuning strategies for fer-bench. Importing this module imports no jax."""

from __future__ import annotations

from fer_bench import hookimpl
from fer_bench.specs import Params, StrategySpec

from .fine_tuning import (
    BitFitParams,
    DiscriminativeParams,
    FinetuneParams,
    FullParams,
    GradualParams,
    LoraParams,
    ScratchParams,
)
from .linear_probe import LinearProbeParams
from .readout import KnnParams, SvmParams


def _spec(name: str, where: str, params: type[Params], summary: str) -> StrategySpec:
    return StrategySpec(name=name, summary=summary, plan=f"fer_bench_strategies.{where}", params=params)


@hookimpl
def fer_bench_strategies() -> list[StrategySpec]:
    """Return the strategies of this package."""
    return [
        _spec(
            "linear-probe",
            "linear_probe:plan",
            LinearProbeParams,
            "logistic regression on the frozen backbone's features",
        ),
        _spec("knn", "readout:plan_knn", KnnParams, "nearest neighbours by cosine on frozen features"),
        _spec("svm", "readout:plan_svm", SvmParams, "support vector machine on frozen features"),
        _spec("finetune", "fine_tuning:plan_finetune", FinetuneParams, "the head first, then the last stages"),
        _spec("gradual-unfreeze", "fine_tuning:plan_gradual", GradualParams, "one more stage from the top each phase"),
        _spec(
            "discriminative-lr",
            "fine_tuning:plan_discriminative",
            DiscriminativeParams,
            "every stage trains, lower ones more slowly",
        ),
        _spec("full", "fine_tuning:plan_full", FullParams, "everything trains, the head from 0"),
        _spec("bitfit", "fine_tuning:plan_bitfit", BitFitParams, "biases and norms train, and the head"),
        _spec("lora", "fine_tuning:plan_lora", LoraParams, "low-rank changes of the pointwise kernels, and the head"),
        _spec("lp-ft", "fine_tuning:plan_lp_ft", FullParams, "linear probe to convergence, then everything"),
        _spec("scratch", "fine_tuning:plan_scratch", ScratchParams, "random weights, everything trains"),
    ]
