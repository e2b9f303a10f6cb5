"""Faces that this package draws itself: seven expressions posed by facial action units, nobody's portrait."""

from fer_bench_datasets.synthetic.drawing import LABELS, Drawing, Place, draw, place_of
from fer_bench_datasets.synthetic.scene import DOMAINS

__all__ = ["DOMAINS", "LABELS", "Drawing", "Place", "draw", "place_of"]
