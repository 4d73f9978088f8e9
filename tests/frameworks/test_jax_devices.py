"""Batches that are split among devices: two devices of one process have the numbers of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("jax", "0.7", reason="jax.shard_map as it is today")

WORKER = """
    import json
    import jax, jax.numpy as jnp, numpy as np
    from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
    import lossmith as lm

    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(4) // 2, 2)
    CASES = {
        "huber": (rng.normal(size=8), rng.normal(size=8)),
        "cce": (rng.normal(size=(8, 3)), rng.integers(0, 3, 8)),
        "dice": (rng.random((8, 3)), rng.integers(0, 2, (8, 3))),
        "ctc": (rng.normal(size=(8, 5, 4)), np.zeros((8, 5)), rng.integers(1, 4, (8, 2)), np.zeros((8, 2))),
        "triplet": tuple(rng.normal(size=(3, 8, 4))),
        "nt_xent": (rng.normal(size=(8, 4)), labels),
    }
    found = {"devices": jax.device_count()}
    for name, arrays in CASES.items():
        function = lm.to_jax(name)
        arrays = tuple(map(jnp.asarray, arrays))

        def step(f, *others):
            return jax.value_and_grad(lambda f: function(f, *others).sum())(f)

        def local(*arrays):
            value, gradient = step(*arrays)
            return jax.lax.psum(value, "batch"), gradient

        def joint(f, *others):  # embeddings are compared with those of all devices
            def mine(f):
                everything = [jax.lax.all_gather(x, "batch", tiled=True) for x in (f, *others)]
                return function(*everything) / 2
            value, gradient = jax.value_and_grad(mine)(f)
            return jax.lax.psum(value, "batch"), gradient

        one = joint if name == "nt_xent" else local
        want = step(*arrays)
        halves = (array.reshape(2, -1, *array.shape[1:]) for array in arrays)
        value, gradient = jax.pmap(one, axis_name="batch")(*halves)
        results = {"pmap": (value[0], gradient.reshape(want[1].shape))}
        for kind in (AxisType.Auto, AxisType.Explicit):
            mesh = jax.make_mesh((2,), ("batch",), axis_types=(kind,))
            split = [jax.device_put(array, NamedSharding(mesh, P("batch"))) for array in arrays]
            sharded = jax.shard_map(one, mesh=mesh, in_specs=(P("batch"),) * len(split), out_specs=(P(), P("batch")))
            results[f"jit {kind}"] = jax.jit(step)(*split)
            results[f"shard_map {kind}"] = jax.jit(sharded)(*split)
        for how, got in results.items():
            found[f"{name} {how}"] = max(float(jnp.abs(a - np.asarray(b)).max()) for a, b in zip(got, want))
    print(json.dumps(found))
"""


def test_two_devices_have_the_numbers_of_one() -> None:
    settings = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WORKER)],
        env={**os.environ, **settings, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found.pop("devices") == 2
    assert len(found) == 6 * 5
    assert not {name: error for name, error in found.items() if not error < 1e-13}
