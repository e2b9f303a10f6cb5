"""Stage outputs: of the images, of mirrored images, in half precision where it holds, computed once."""

from __future__ import annotations

import gc
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import jax
import numpy as np
import pytest

from fer_bench.data.prepare import prepare
from fer_bench.errors import FerBenchError, PluginError
from fer_bench.faces.parameters import Crop
from fer_bench.keeping.cache import Cache
from fer_bench.keeping.outputs import Outputs
from fer_bench.keeping.space import Space
from fer_bench.networks import devices, forward, passes, prefix
from fer_bench.networks.identity import identity
from fer_bench.networks.source import BackboneSource
from fer_bench.registry import Registry
from fer_bench.tasks.crops import Faces
from fer_bench.tasks.view import select

PLUGIN = """
    from fer_bench import hookimpl
    from fer_bench.specs import BackboneParams, BackboneSpec, DatasetSpec

    class NetParams(BackboneParams):
        input_size: int = 8
        gain: float = 1.0
        fault: str = ""

    @hookimpl
    def fer_bench_datasets():
        return [DatasetSpec(name="noise", title="", builder="staged_data:Noise", labels=("a", "b"), identity="no",
                            licence="", citation="", synthetic=True)]

    @hookimpl
    def fer_bench_backbones():
        return [BackboneSpec(name="staged", summary="", build="staged:build", stages=("one", "two", "three"),
                             feature_size=5, params=NetParams)]

    def build(params, *, rngs, compute_dtype):
        import jax.numpy as jnp, numpy as np
        from flax import nnx
        draw = lambda key, shape, dtype: jnp.asarray(np.random.default_rng(shape).normal(0, 0.2, shape), dtype)
        class Stage(nnx.Module):
            def __init__(self, inputs, outputs, gain=1.0):
                self.conv, self.gain = nnx.Conv(inputs, outputs, (3, 3), kernel_init=draw, rngs=rngs), gain
                self.norm = nnx.BatchNorm(outputs, rngs=rngs)
                self.dropout = nnx.Dropout(0.5, rngs=rngs)
            def __call__(self, x):
                x = self.dropout(self.norm(nnx.relu(self.conv(x)))) * self.gain
                return (x, x) if params.fault == "pair" else x

        class Net(nnx.Module):
            def __init__(self):
                self.one, self.two, self.three = Stage(3, 4, params.gain), Stage(4, 4), Stage(4, 5)
                if params.fault == "method":
                    self.two = lambda x: x

        return Net()
"""
DATA = """
    import numpy as np
    from fer_bench.data.builder import FerBuilder, encode_png
    from fer_bench.specs import Sample

    class Noise(FerBuilder):
        "Seventy grey pictures of noise."
        @classmethod
        def manual_path(cls, spec, params):
            return None
        def read(self, root, faults):
            rng = np.random.default_rng(0)
            for i in range(70):
                yield Sample(id=str(i), image=encode_png(rng.integers(0, 256, (10, 12), np.uint8)), label="ab"[i % 2])
"""


@pytest.fixture
def registry(write_plugin, site, monkeypatch):
    write_plugin("staged", PLUGIN)
    (site / "staged_data.py").write_text(textwrap.dedent(DATA), encoding="utf-8")
    monkeypatch.delitem(sys.modules, "staged_data", raising=False)
    return Registry.load()


@pytest.fixture
def view(registry, tmp_path):
    dataset = registry.dataset("noise")
    return select(dataset, prepare(dataset, tmp_path / "data"), None)


def _source(registry, folder: Path, text="staged"):
    component = registry.backbone(text)
    return BackboneSource(component, {"text": text, **identity(component, "float32")}, folder)


def _nothing(stops, images):
    pass


def _fetch(
    source, view, stop, variants=1, also=MappingProxyType({}), begin=_nothing, limit=None, advance=lambda _: None
):
    store = prefix.cache_of(source.cache_dir, limit)
    return prefix.fetch(
        store, source, view, stop, variants, also=also, begin=begin, advance=advance, waiting=pytest.fail
    )


def _values(made):
    """Return what a prefix holds, (n, variants, …) in its own type, of as many variants as all of its parts have."""
    outputs = prefix.join([made], dtype=None)
    rows = np.arange(len(outputs))
    variants = min(entry.values.shape[1] for entry in made.entries)
    return np.stack([outputs.take(rows, variant) for variant in range(variants)], axis=1)


def _not_again(stops, images):
    pytest.fail("computed again")


@pytest.mark.parametrize(("memory", "sizes"), [(32, [32]), (16, [32, 16]), (4, [32, 16, 8, 4])])
def test_a_batch_that_an_accelerator_does_not_hold_is_halved_and_its_size_remembered(
    registry, view, tmp_path, monkeypatch, memory, sizes
):
    tried, done = [], []

    class OnSmallDevice(forward.Forward):
        def __call__(self, images):
            if not tried or tried[-1] != self.batch:
                tried.append(self.batch)
            if self.batch > memory:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
            return super().__call__(images)

    expected = _values(_fetch(_source(registry, tmp_path / "cpu"), view, 3))
    monkeypatch.setattr(devices, "accelerated", lambda: True)
    monkeypatch.setattr(passes, "Forward", OnSmallDevice)
    monkeypatch.setattr(forward, "SIZES", (8, 16, 32))
    source = _source(registry, tmp_path / "small")
    np.testing.assert_allclose(_values(_fetch(source, view, 3, advance=done.append)), expected, rtol=1e-3, atol=1e-4)
    assert (tried, sum(done)) == (sizes, 70)
    _fetch(source, view, 3, variants=2)
    assert tried == sizes
    memory = 0
    with pytest.raises(MemoryError, match=r"\b8\b.*'staged'.*input_size.*JAX_PLATFORMS"):
        _fetch(_source(registry, tmp_path / "none"), view, 3)


@pytest.mark.parametrize("stop", [0, 1, 2, 3])
def test_prefix_and_rest_make_the_whole_and_halves_are_close(registry, view, tmp_path, stop):
    source = _source(registry, tmp_path)
    values, built = _values(_fetch(source, view, stop)), source.built
    images = np.stack(view.images(np.arange(70)))
    exact = built.prefix(built.state, images, stop)
    assert values.dtype == np.float16
    assert values.shape == (70, 1, *exact.shape[1:])
    np.testing.assert_allclose(values[:, 0], exact, rtol=1e-3, atol=1e-4)
    whole = built.prefix(built.state, images, 3)
    assert whole.shape == (70, 5)
    rest = {stage: built.state[stage] for stage in built.stages[stop:]}
    np.testing.assert_allclose(built.rest(rest, exact, stop), whole, rtol=1e-5, atol=1e-6)


def test_the_second_variant_is_of_the_mirrored_image_and_serves_who_wants_one(registry, view, tmp_path):
    source = _source(registry, tmp_path)
    both = _values(_fetch(source, view, 2, variants=2))
    mirrored = np.stack(view.images(np.arange(70)))[:, :, ::-1]
    expected = source.built.prefix(source.built.state, mirrored, 2)
    np.testing.assert_allclose(both[:, 1], expected, rtol=1e-3, atol=1e-4)
    assert not np.allclose(both[:, 0], both[:, 1], atol=0.01)
    np.testing.assert_array_equal(_values(_fetch(source, view, 2, begin=_not_again)), both)
    store = prefix.cache_of(tmp_path)
    missing = [len(prefix.missing(store, view, source, stop, variants)) for stop, variants in ((2, 1), (2, 2), (1, 1))]
    assert missing == [0, 0, 70]
    assert len(prefix.missing(store, view, _source(registry, tmp_path / "never built"), 2, 1)) == 70


def test_what_is_wanted_later_comes_of_the_same_pass_with_the_same_bits(registry, view, tmp_path):
    begun = []
    joint = _source(registry, tmp_path / "joint")
    features = _fetch(joint, view, 3, also={1: 2, 2: 1, 3: 1}, begin=lambda *what: begun.append(what))
    one, two = (_fetch(joint, view, stop, variants, begin=_not_again) for stop, variants in ((1, 2), (2, 1)))
    assert begun == [([1, 2, 3], 70)]
    assert features.seconds == one.seconds == two.seconds
    assert [_values(made).shape[1] for made in (features, one, two)] == [1, 2, 1]
    alone = _source(registry, tmp_path / "alone")
    for stop, made in ((1, one), (2, two), (3, features)):
        again = _fetch(alone, view, stop, _values(made).shape[1])
        np.testing.assert_array_equal(_values(again), _values(made))
        assert again.seconds != made.seconds
    # What is there already is not computed again, nor is what another process computes now.
    begun.clear()
    store = prefix.cache_of(tmp_path / "alone")
    del alone, again
    gc.collect()
    assert len(store.space.clear()[0]) == 3
    other = _source(registry, tmp_path / "alone")
    _fetch(other, view, 1)
    with store.locked(prefix.key(view, other, other.digests(), 2), pytest.fail):
        _fetch(other, view, 3, also={1: 1, 2: 1}, begin=lambda *what: begun.append(what))
    assert begun == [([3], 70)]


def test_what_is_wanted_later_cannot_make_a_pass_fail(registry, view, tmp_path):
    source = _source(registry, tmp_path)
    source.built.state["three"]["norm"]["scale"] *= np.nan
    assert np.isfinite(_values(_fetch(source, view, 2, also={3: 1}))).all()
    with pytest.raises(PluginError, match=r"'staged'.*not finite.*'0'"):
        _fetch(source, view, 3)
    source = _source(registry, tmp_path / "broken")
    source.built.graphs["three"] = None
    assert np.isfinite(_values(_fetch(source, view, 2, also={3: 1}))).all()
    # A cache with room for the features alone holds them alone.
    source = _source(registry, tmp_path / "small")
    features = _fetch(source, view, 3, also={1: 1, 2: 1}, limit=6000)
    assert _values(features).shape == (70, 1, 5)
    assert len(prefix.cache_of(source.cache_dir).space.rows()) == 1


def test_values_beyond_half_precision_are_kept_in_float32(registry, view, tmp_path):
    ordinary = _values(_fetch(_source(registry, tmp_path), view, 1))
    for gain in (1e6, 1e-8):
        large = _values(_fetch(_source(registry, tmp_path, f"staged[gain={gain}]"), view, 1))
        assert large.dtype == np.float32
        np.testing.assert_allclose(large[:, 0] / gain, ordinary[:, 0], rtol=1e-3, atol=1e-4)


def test_whether_half_precision_holds_an_image_does_not_depend_on_the_others(registry, view, tmp_path):
    most = _values(_fetch(_source(registry, tmp_path), view, 1)).max((1, 2, 3, 4)).astype(float)
    source = _source(registry, tmp_path, f"staged[gain={65504 / np.median(most)}]")
    small = np.flatnonzero(most < 0.99 * np.median(most))
    assert 10 < len(small) < 40
    halves = _values(_fetch(source, _selected(view, small), 1))
    assert halves.dtype == np.float16
    other = _source(registry, tmp_path / "other", str(source.component))
    mixed = _values(_fetch(other, view, 1))
    assert mixed.dtype == np.float32
    assert np.isfinite(mixed).all()
    np.testing.assert_array_equal(mixed[small], halves.astype(np.float32))
    large = mixed[most > 1.01 * np.median(most)]
    with np.errstate(over="ignore"):
        assert (large != large.astype(np.float16)).any(axis=(1, 2, 3, 4)).all(), "these are not rounded"


def test_values_that_are_not_finite_name_stage_and_sample(registry, view, tmp_path):
    message = "'staged.gain=NaN.' returned outputs of stage 'one' that are not finite, first for sample '0'"
    with pytest.raises(PluginError, match=message):
        _fetch(_source(registry, tmp_path, "staged[gain=nan]"), view, 1)
    assert prefix.cache_of(tmp_path).space.rows() == []


def test_a_stage_that_cannot_be_stored_or_trained_is_an_error_of_the_plugin(registry, view, tmp_path):
    with pytest.raises(PluginError, match=r"Stage 'one' .* expected one array"):
        _fetch(_source(registry, tmp_path, "staged[fault=pair]"), view, 1)
    with pytest.raises(PluginError, match=r"\['two'\].*nnx.Module"):
        _fetch(_source(registry, tmp_path, "staged[fault=method]"), view, 1)


def test_only_the_weights_of_the_stages_below_count(registry, view, tmp_path):
    source = _source(registry, tmp_path)
    names = {stop: prefix.key(view, source, source.digests(), stop) for stop in (1, 2, 3)}
    kernel = source.built.state["three"]["conv"]["kernel"]
    source.built.state["three"]["conv"]["kernel"] = kernel + 1e-6
    changed = source.built.digests()
    for stop, name in names.items():
        assert (prefix.key(view, source, changed, stop) == name) == (stop < 3)
    assert len(set(names.values())) == 3


@pytest.mark.parametrize("text", ["staged[input_size=9]", "staged[gain=2]"])
def test_input_size_and_parameters_count(registry, view, tmp_path, text):
    one, other = _source(registry, tmp_path), _source(registry, tmp_path, text)
    digests = one.digests()
    assert prefix.key(view, one, digests, 1) != prefix.key(view, other, digests, 1)


def test_a_backbone_is_not_built_again_for_what_is_cached(registry, view, tmp_path):
    _fetch(_source(registry, tmp_path), view, 3)
    again = _source(registry, tmp_path)
    _fetch(again, view, 3, begin=_not_again)
    assert "built" not in vars(again)


def _selected(view, rows):
    return replace(view, rows=np.array(rows))


def test_what_is_kept_for_a_selection_serves_every_other_with_the_same_bits(registry, view, tmp_path):
    begun, source = [], _source(registry, tmp_path)
    begin = lambda stops, images: begun.append((stops, images))  # noqa: E731
    few, others = _selected(view, [60, 3, 3, 41]), _selected(view, range(40))
    _fetch(source, few, 3, begin=begin)
    _fetch(source, others, 3, also={2: 1}, begin=begin)
    assert [len(prefix.missing(prefix.cache_of(tmp_path), view, source, stop, 1)) for stop in (2, 3)] == [31, 28]
    pieces = _fetch(source, view, 3, also={2: 1}, begin=begin)
    stage = _fetch(source, view, 2, begin=begin)
    # 60, 3 and 41; 0 to 39 but 3, and stage 2 of these; what is left of both but 60, 3 and 41; stage 2 of these.
    assert begun == [([3], 3), ([2, 3], 39), ([2, 3], 28), ([2], 3)]
    whole = _source(registry, tmp_path / "whole")
    for stop, made in ((3, pieces), (2, stage)):
        assert len(made.entries) == 3
        np.testing.assert_array_equal(_values(made), _values(_fetch(whole, view, stop)))
    np.testing.assert_array_equal(_values(_fetch(source, few, 3, begin=_not_again)), _values(pieces)[[60, 3, 3, 41]])


def test_the_cost_of_a_selection_is_its_share_of_the_passes(registry, view, tmp_path):
    source = _source(registry, tmp_path)
    ((one, seconds),) = _fetch(source, _selected(view, range(40)), 3).seconds.items()
    shares = _fetch(source, _selected(view, range(30, 60)), 3).seconds
    assert one in shares
    assert len(shares) == 2
    assert shares[one] == pytest.approx(seconds * 10 / 40)


def test_an_image_of_two_data_sets_counts_once(registry, view, tmp_path):
    source, task = _source(registry, tmp_path), [_selected(view, range(50)), _selected(view, range(20, 70))]
    begun = []
    parts = [_fetch(source, part, 1, begin=lambda stops, images: begun.append(images)) for part in task]
    assert begun == [50, 20]
    both = prefix.join(parts)
    np.testing.assert_array_equal(both.take(np.arange(20, 50)), both.take(np.arange(50, 80)))


def test_how_images_are_prepared_and_cut_out_and_the_compiler_count(registry, view, tmp_path, monkeypatch):
    source = _source(registry, tmp_path)
    digests = source.digests()
    crops = [Crop(method="box", size=24), Crop(method="align", size=24)]
    faces = [replace(view, faces=Faces(crop, "error", None, 70, 0.0)) for crop in crops]
    coloured, mixed = replace(view), replace(view)
    vars(coloured)["channels"], vars(mixed)["shape"] = 3, None
    keys = {prefix.key(part, source, digests, 1) for part in (view, *faces, coloured, mixed)}
    assert len(keys) == 5
    monkeypatch.setattr("jaxlib.version.__version__", "99.0")
    assert prefix.key(view, source, digests, 1) not in keys


def test_a_cache_that_is_too_small_says_so_before_any_work(registry, view, tmp_path):
    source, done = _source(registry, tmp_path), []
    with pytest.raises(FerBenchError, match="--cache-limit"):
        _fetch(source, view, 1, limit=1000, advance=done.append)
    assert done == []


def test_rows_are_taken_in_any_order_over_the_parts_and_variants(tmp_path):
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(n, 2, 3, 4)).astype(np.float16) for n in (5, 0, 7)]
    whole = np.concatenate(parts)
    outputs = Outputs(parts)
    assert (len(outputs), outputs.shape) == (12, (3, 4))
    rows = np.array([11, 0, 4, 5, 5, 3])
    np.testing.assert_array_equal(outputs.take(rows), whole[rows, 0])
    np.testing.assert_array_equal(outputs.take(rows, 1), whole[rows, 1])
    variant = np.array([0, 1, 1, 0, 1, 0])
    np.testing.assert_array_equal(outputs.take(rows, variant), whole[rows, variant])
    assert outputs.take(rows).dtype == np.float32
    assert Outputs(parts, dtype=None).take(rows).dtype == np.float16
    assert Outputs([*parts, whole.astype(np.float32)], dtype=None).take(rows).dtype == np.float32
    assert outputs.take(rows[:0]).shape == (0, 3, 4)
    assert len(Outputs([whole, whole[:, :1]])) == 24, "parts may have one variant or two"
    with pytest.raises(ValueError, match="parts of 2 shapes"):
        Outputs([whole, whole[..., :1]])
    places = np.array([[2, 6], [0, 0], [2, 6]])
    np.testing.assert_array_equal(Outputs(parts, places=places).take(np.array([2, 1]), 1), whole[[11, 0], 1])


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's /proc")
def test_reading_a_map_does_not_hold_its_pages(tmp_path):
    store, rows = Cache(Space(tmp_path)), np.zeros((1 << 12, 1, 1 << 12), np.float32)
    images = np.frombuffer(np.arange(1 << 17, dtype=np.int32).tobytes(), "S32")
    with store.locked("a", pytest.fail):
        with store.writer("a", images, (1 << 14, 1, 1 << 12), rows.dtype) as writer:  # 268 MB
            for _ in range(4):
                writer.append(rows)
        ((entry,), places) = store.open("a", images, lambda facts: True)
    outputs = Outputs([entry.values], places=places)

    def resident():
        return next(
            int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "RssFile" in line
        )

    before = resident()
    for start in range(0, 1 << 14, 512):
        assert outputs.take(np.arange(start, start + 512)).sum() == 0
        assert resident() - before < 140_000, "kB; the file has 262,144"


def test_a_stage_runs_under_jit_with_its_own_state_alone(registry, tmp_path):
    built = _source(registry, tmp_path).built
    run = jax.jit(lambda state, images: built.prefix(state, images, 1))
    assert run({"one": built.state["one"]}, np.zeros((2, 8, 8, 1), np.uint8)).shape == (2, 8, 8, 4)
