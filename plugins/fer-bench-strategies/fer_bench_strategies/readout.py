"""Classical classifiers on frozen features: cheap baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field

from fer_bench.specs import Params, Plan, ReadoutPhase

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


PARTS = 3
"""Into which the calibration of the SVM divides the training samples of each class."""


class KnnParams(Params):
    """Parameters of nearest neighbours."""

    k: int = Field(20, ge=1, le=100_000, description="neighbours, at most as many as there are training samples")
    weights: Literal["distance", "uniform"] = Field("distance", description="how neighbours vote")


class SvmParams(Params):
    """Parameters of the support vector machine."""

    c: float = Field(1.0, ge=1e-6, le=1e6, description="inverse strength of the penalty")
    kernel: Literal["rbf", "linear"] = Field("rbf", description="kernel")


def plan_knn(params: KnnParams) -> Plan:
    """Return the plan of nearest neighbours."""
    estimator, options = "fer_bench_strategies.readout:make_knn", params.model_dump()
    return Plan(phases=(ReadoutPhase(estimator=estimator, options=options, min_samples=params.k),))


def plan_svm(params: SvmParams) -> Plan:
    """Return the plan of the support vector machine."""
    estimator, options = "fer_bench_strategies.readout:make_svm", params.model_dump()
    return Plan(phases=(ReadoutPhase(estimator=estimator, options=options, min_per_class=PARTS),))


def make_knn(k: int, weights: Any) -> Pipeline:
    """Return k nearest neighbours on the unit sphere, where Euclidean distance orders as cosine does."""
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    return make_pipeline(Normalizer(), KNeighborsClassifier(k, weights=weights))


def make_svm(c: float, kernel: Any) -> Pipeline:
    """Return a one-against-one SVM on standardized features; Platt's scaling makes probabilities of its margins."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    machine = SVC(C=c, kernel=kernel, decision_function_shape="ovr")
    return make_pipeline(StandardScaler(), CalibratedClassifierCV(machine, cv=PARTS, ensemble=cast("Any", False)))
