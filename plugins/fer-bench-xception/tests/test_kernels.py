"""The kernels against lax's own operations, in value and gradient, on the platform at hand."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fer_bench_xception import dense, kernels

SIZES = [(1, 7, 8, 3), (2, 4, 6, 16), (1, 3, 3, 1)]
F32 = jnp.dtype("float32")


def windowed(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def check(ours, reference, *operands, tolerance=2e-5):
    """Compare values, and gradients of a weighted sum, which reach every output differently."""
    expected = reference(*operands)
    actual = jax.jit(ours)(*operands)
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)
    weights = draw(9, *expected.shape)
    every = tuple(range(len(operands)))
    actual = jax.jit(jax.grad(lambda *o: jnp.sum(ours(*o) * weights), every))(*operands)
    expected = jax.grad(lambda *o: jnp.sum(reference(*o) * weights), every)(*operands)
    for mine, theirs in zip(actual, expected, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance * float(jnp.abs(theirs).max()) + 1e-6)


@pytest.mark.parametrize("shape", SIZES)
def test_depthwise_is_laxs_grouped_convolution(shape):
    ours = partial(kernels.depthwise, relu=False)
    check(lambda x, k: ours(x, k), kernels.depthwise_grouped, draw(0, *shape), draw(1, 3, 3, shape[-1]))


@pytest.mark.parametrize("shape", [(6, 5, 4, 3), (7, 11, 3, 2), (4, 18, 2, 3), (2, 21, 2, 3)])
def test_rows_are_added_up_in_pieces_that_divide_them_evenly(shape):
    test_depthwise_is_laxs_grouped_convolution(shape)


@pytest.fixture(params=["CPU", "elsewhere"])
def max_pool(request, monkeypatch):
    """Return the max-pool in one of its formulations."""
    if request.param == "elsewhere":
        monkeypatch.setattr(kernels, "by_platform", lambda cpu, other, *operands: other(*operands))
    return lambda x: kernels.max_pool(x)


@pytest.mark.parametrize("shape", SIZES)
def test_max_pool_is_laxs_reduce_window(max_pool, shape):
    check(max_pool, windowed, draw(0, *shape))


@pytest.mark.parametrize("shape", SIZES)
def test_ties_in_max_pool_go_where_lax_sends_them(max_pool, shape):
    x = jnp.floor(draw(3, *shape))
    assert np.unique(x).size < x.size or x.size < 10, "there must be ties"
    check(max_pool, windowed, x)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", [(2, 8, 11, 4), (1, 3, 3, 2)])
def test_convolve_is_laxs_convolution(shape, stride):
    ours = partial(dense.convolve, stride=stride, dtype=F32)
    reference = partial(dense._convolve_whole, stride=stride, dtype=F32)
    check(lambda x, k: ours(x, k), reference, draw(0, *shape), draw(1, 3, 3, shape[-1], 6))


def test_product_is_a_matrix_product():
    check(lambda x, k: kernels.product(x, k, F32), jnp.matmul, draw(0, 2, 5, 4, 7), draw(1, 7, 6))


@pytest.mark.parametrize("learning", [(0, 1, 2, 3), (0, 2, 3), (2,), (0,), (1,)])
def test_a_scaled_product_is_a_product_and_a_norm_whatever_learns(learning):
    operands = draw(0, 2, 5, 4, 7), draw(1, 7, 6), draw(2, 6), draw(3, 6)

    def of(function):
        def loss(*learnt):
            every = list(operands)
            for place, value in zip(learning, learnt, strict=True):
                every[place] = value
            return jnp.sum(function(*every) * draw(9, 2, 5, 4, 6))

        chosen = [operands[place] for place in learning]
        return jax.jit(jax.value_and_grad(loss, tuple(range(len(learning)))))(*chosen)

    (mine, gradients), (theirs, expected) = (
        of(lambda x, kernel, factor, shift: kernels.scaled_product(x, kernel, factor, shift, F32)),
        of(lambda x, kernel, factor, shift: jnp.matmul(x, kernel) * factor + shift),
    )
    np.testing.assert_allclose(mine, theirs, rtol=2e-5)
    for one, other in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5)


def test_a_bfloat16_scaled_product_is_close_and_maps_over_a_new_axis():
    x, kernel, factor, shift = draw(0, 3, 40, 24), draw(1, 24, 16), draw(2, 16), draw(3, 16)

    def gradients(function):
        one = jax.grad(lambda *o: jnp.sum(jnp.sin(function(*o))), (0, 1, 2, 3))
        return jax.jit(jax.vmap(one, in_axes=(0, None, None, None)))(x, kernel, factor, shift)

    ours = gradients(lambda *o: kernels.scaled_product(*o, jnp.bfloat16))
    exact = gradients(lambda x, kernel, factor, shift: jnp.matmul(x, kernel) * factor + shift)
    for one, other in zip(ours, exact, strict=True):
        assert one.dtype == jnp.float32
        error = jnp.sqrt(jnp.mean((one - other) ** 2) / jnp.mean(other**2))
        assert 1e-5 < error < 0.1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_sums_are_float32_whatever_the_operands_are(dtype):
    x, kernel = draw(0, 1, 4, 4, 512), draw(1, 512, 3)
    y = kernels.product(x, kernel, jnp.dtype(dtype))
    assert y.dtype == jnp.float32
    rounded = [np.asarray(a.astype(dtype).astype(jnp.float32), np.float64) for a in (x, kernel)]
    np.testing.assert_allclose(y, rounded[0] @ rounded[1], rtol=1e-4, atol=1e-4)
    gradients = jax.grad(lambda x, k: kernels.product(x, k, jnp.dtype(dtype)).sum(), (0, 1))(x, kernel)
    assert [g.dtype for g in gradients] == [jnp.float32, jnp.float32]


def test_a_gradient_through_a_product_is_not_rounded_and_the_product_alone_keeps_rounded_operands():
    x, kernel, matrix = draw(0, 2, 6, 6, 4), draw(1, 3, 3, 4), draw(2, 4, 5)
    half = jnp.dtype("bfloat16")

    def narrowed(x, kernel, matrix):
        return kernels.product(kernels.depthwise(x, kernel, relu=True), matrix, half)

    y, saved = kernels._product_forward(kernels.depthwise(x, kernel, relu=True), matrix, half)
    assert (y.dtype, saved[0].dtype) == (F32, half), "what stays for the backward pass"
    weights = draw(3, *y.shape)
    _, back = jax.vjp(narrowed, x, kernel, matrix)
    # The same with operands rounded by hand, in float32 throughout.
    towards = kernels.contract(weights, matrix, 3, 1, half)
    _, exactly = jax.vjp(lambda x, kernel: kernels.depthwise(x, kernel, relu=True), x, kernel)
    for mine, theirs in zip(back(weights)[:2], exactly(towards), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_cpu_program_has_no_grouped_convolution_and_no_window():
    def loss(x, kernel):
        return jnp.sum(kernels.max_pool(kernels.depthwise(x, kernel, False)))

    lowered = jax.jit(jax.grad(loss, (0, 1))).trace(draw(0, 1, 8, 8, 4), draw(1, 3, 3, 4))
    on_cpu = lowered.lower(lowering_platforms=("cpu",)).as_text()
    assert "stablehlo.convolution" not in on_cpu
    assert "reduce_window" not in on_cpu
    assert "select_and_scatter" not in on_cpu
    on_gpu = lowered.lower(lowering_platforms=("cuda",)).as_text()
    assert "stablehlo.convolution" in on_gpu


@pytest.mark.parametrize("stride", [1, 2])
def test_what_a_cpu_computes_towards_a_dense_kernel_is_no_convolution(stride):
    def loss(kernel, x):
        return jnp.sum(jnp.sin(dense.convolve(x, kernel, stride, F32)))

    program = jax.jit(jax.grad(loss)).lower(draw(1, 3, 3, 3, 8), draw(0, 2, 9, 9, 3)).compile()
    assert " convolution(" not in program.as_text()


def test_kernels_map_over_a_new_axis():
    x, kernel = draw(0, 3, 1, 6, 6, 4), draw(1, 3, 3, 4)
    both = jax.vmap(lambda x: kernels.max_pool(kernels.depthwise(x, kernel, False)))(x)
    one = kernels.max_pool(kernels.depthwise(x[1], kernel, False))
    np.testing.assert_allclose(both[1], one, rtol=1e-6)


@pytest.mark.parametrize("rows", [(5,), (1, 300, 40)])
@pytest.mark.parametrize("mapped", [False, True])
def test_a_bfloat16_gradient_is_that_of_the_rounded_numbers_with_float32_sums(rows, mapped):
    x, kernel, weights = draw(0, 3, *rows, 24), draw(1, 3, 24, 40), draw(2, 3, *rows, 40)

    def of(product):
        gradient = jax.grad(lambda x, kernel, weights: jnp.sum(product(x, kernel) * weights), (0, 1))
        over_three = jax.vmap(gradient) if mapped else lambda *o: jax.lax.map(lambda one: gradient(*one), o)
        return jax.jit(over_three)(x, kernel, weights)

    def exact(x, kernel):
        return jnp.matmul(x, kernel, precision="highest")

    rounded = [array.astype(jnp.bfloat16).astype(jnp.float32) for array in (x, kernel, weights)]
    ours = of(lambda x, kernel: kernels.product(x, kernel, jnp.bfloat16))
    x, kernel, weights = rounded
    for mine, theirs in zip(ours, of(exact), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5 * float(jnp.abs(theirs).max()))


@pytest.mark.parametrize("stride", [1, 2])
def test_a_bfloat16_convolution_has_the_gradient_of_the_rounded_numbers(stride):
    x, kernel = (
        array.astype(jnp.bfloat16).astype(jnp.float32) for array in (draw(0, 2, 11, 10, 8), draw(1, 3, 3, 8, 6))
    )

    def gradient(convolve):
        y, pull_back = jax.vjp(convolve, x, kernel)
        return pull_back(draw(2, *y.shape).astype(jnp.bfloat16).astype(jnp.float32))

    ours = gradient(lambda x, kernel: dense.convolve(x, kernel, stride, jnp.bfloat16))
    theirs = gradient(lambda x, kernel: dense._convolve_whole(x, kernel, stride, jnp.float32))
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-4 * float(jnp.abs(expected).max()))
