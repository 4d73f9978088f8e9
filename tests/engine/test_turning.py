"""Tiles of turned rows: what is moved, and what must not be touched."""

from __future__ import annotations

import numpy as np
import pytest

from lossmith.engine import jit, rows_tiles
from lossmith.engine.compiled import Compiled

pytestmark = pytest.mark.skipif(not jit.available(), reason="numba compiles nothing here")
CONTRACT = frozenset({"contract"})
turn, turn_back = (Compiled(text, "double", CONTRACT) for text in (rows_tiles.turn, rows_tiles.turn_back))


@pytest.mark.parametrize(("of_rows", "of_tile"), [("f4", "f4"), ("f8", "f8"), ("f4", "f8"), ("f8", "f4")])
def test_rows_go_there_and_back(of_rows, of_tile):
    for k in (1, 3, 4, 5, 7, 8, 9, 10, 15, 16, 17, 31, 48):
        for count in (1, 7, 8, 15, 16, 17, 33, 127, 128):
            memory = np.arange(-5.0, (count + 9) * k).astype(of_rows)
            block = memory[5 : 5 + count * k].reshape(count, k)
            tile = np.zeros((-(-k // rows_tiles.WIDEST) * rows_tiles.WIDEST, rows_tiles.LANES), of_tile)[:k]
            before = memory.copy()
            turn(block, tile)
            assert (tile[:, :count] == block.T).all(), (k, count)
            block[...] = -1.0
            turn_back(tile, block)
            assert (memory == before).all(), (k, count)  # and nothing around the block


def test_the_text_of_the_instruction_says_the_same():
    block, tile = np.arange(160.0).reshape(16, 10), np.zeros((16, rows_tiles.LANES))[:10]
    rows_tiles.turn(block, tile)
    assert (tile[:, :16] == block.T).all()
    other = np.zeros_like(block)
    rows_tiles.turn_back(tile, other)
    assert (other == block).all()
