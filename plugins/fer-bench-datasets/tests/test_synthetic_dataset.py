from __future__ import annotations

import numpy as np
import pytest
from fer_bench_datasets.synthetic import LABELS, draw

from fer_bench.data.prepare import prepare
from fer_bench.errors import FerBenchError


def test_prepared_is_what_is_drawn(component, tmp_path):
    prepared = prepare(component("synthetic[n=21,size=32,subjects=2,domain=lab,seed=5]"), tmp_path)
    assert prepared.spec.synthetic
    assert prepared.labels == tuple(LABELS)
    assert prepared.counts[""] == dict.fromkeys(LABELS, 3)
    images = prepared.images(np.arange(21))
    for index in (0, 9, 20):
        drawing = draw(index, size=32, domain="lab", seed=5, subjects=2)
        row = prepared.samples.iloc[index]
        np.testing.assert_array_equal(images[index], drawing.image)
        assert prepared.labels[row["label"]] == drawing.label
        assert row["subject"] == drawing.subject
        assert {
            name.removeprefix("group:"): row[name] for name in row.index if name.startswith("group:")
        } == drawing.groups


def test_parameters_are_other_data(component, tmp_path):
    texts = ["synthetic[n=7,size=16]", "synthetic[n=7,size=16,domain=lab]", "synthetic[n=7,size=16,seed=1]"]
    prepared = [prepare(component(text), tmp_path) for text in texts]
    assert len({each.fingerprint for each in prepared}) == 3
    assert len({each.folder for each in prepared}) == 3
    assert prepare(component(texts[0]), tmp_path / "again").fingerprint == prepared[0].fingerprint


@pytest.mark.parametrize("text", ["domain=street", "n=6", "size=8", "subjects=0", "seed=-1"])
def test_parameters_out_of_range(component, text):
    with pytest.raises(FerBenchError, match=text.partition("=")[0]):
        component(f"synthetic[{text}]")
