"""What the package says of itself where torch is not installed."""

import json
import subprocess
import sys

import pytest
from fer_bench_torch import TimmParams, TorchParams, fer_bench_backbones, libraries, own_module, timm_catalogue
from messages import says

from fer_bench.errors import FerBenchError, MissingError
from fer_bench.registry import Registry


@pytest.fixture
def without(monkeypatch):
    """Return a function after which a library cannot be imported."""

    def hide(name):
        monkeypatch.setitem(sys.modules, name, None)

    return hide


def test_both_backbones_are_frozen_only_and_bring_neither_torch_nor_jax():
    assert {spec.name: spec.frozen_only for spec in fer_bench_backbones()} == {"timm": True, "torch": True}
    code = "import sys, fer_bench_torch; print(sorted({'torch', 'timm', 'jax', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("text", ["timm[name=resnet18]", "torch[build=json:loads,card={card}]"])
def test_without_torch_the_package_says_how_to_install_it_when_the_grid_is_made(without, tmp_path, text):
    without("torch")
    file = tmp_path / "card.yaml"
    fields = {"title": "t", "labels": ["happy", "sad"], "input_size": 8, "channels": 3, "value_range": [0, 1]}
    file.write_text(json.dumps({**fields, "output": "logits", "trained_on": "x"}))
    component = Registry.load().backbone(text.format(card=file))
    with pytest.raises(MissingError) as caught:
        component.ask("find its files", component.spec.files)
    assert says(str(caught.value), "'torch'", "pip install 'fer-bench-torch[torch]'")


def test_a_torch_that_runs_the_code_of_files_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", type("torch", (), {"__version__": "2.5.1+cpu"}))
    with pytest.raises(MissingError, match=r"torch 2\.5\.1\+cpu.*2\.6.*CVE-2025-32434.*pip install"):
        libraries.import_torch()


def test_parameters_that_contradict_one_another_or_say_nothing_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"weights=random.*file"):
        TimmParams(weights="random", file="best.pth")
    with pytest.raises(FerBenchError, match=r"timm\[name=vit_base"):
        timm_catalogue.files(TimmParams())
    for params in (TorchParams(), TorchParams(build="a:b")):
        with pytest.raises(FerBenchError, match=r"torch\[build=.*card="):
            own_module.check(params)
    with pytest.raises(ValueError, match=r"none\.yaml"):
        TorchParams(card=str(tmp_path / "none.yaml"))
