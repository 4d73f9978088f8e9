"""Squares of numbers turned in registers: LLVM by itself would load and store them one by one.

Where a row of the table ends within a vector, the vector goes on into the next row. Only the last row of a square keeps
to its own columns (a masked load or store); what others store beyond theirs is overwritten by the next row. So two rows
of the table must fill a vector.
"""

from __future__ import annotations

from typing import Any

# Bytes of a vector. Where the machine's are shorter, LLVM takes several for one.
_VECTOR = 64


def generators() -> tuple[Any, Any]:
    """Return the two instructions for numba: ``turn_square`` and ``turn_square_back`` of :mod:`.rows_tiles`."""
    from numba import types as kinds
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator]
    def turn_square(context: Any, block: Any, i: Any, j: Any, tile: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            rows, row, column, turned = arguments
            square = _Square(context, builder, (block, tile), rows, (row, column))
            found = square.turned([square.load(r) for r in range(square.lanes)])
            place = _Place(context, builder, tile, turned)
            for c, vector in enumerate(found):
                wanted = square.converted(vector, square.other)
                builder.store(wanted, place.at(_plus(builder, column, c), row, square.other), align=square.size)
            return context.get_dummy_value()

        return kinds.void(block, kinds.intp, kinds.intp, tile), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def turn_square_back(context: Any, tile: Any, i: Any, j: Any, block: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            turned, row, column, rows = arguments
            square = _Square(context, builder, (block, tile), rows, (row, column))
            place = _Place(context, builder, tile, turned)
            places = [place.at(_plus(builder, column, c), row, square.other) for c in range(square.lanes)]
            columns = [builder.load(c, align=square.size) for c in places]
            found = square.turned([square.converted(c, square.vector) for c in columns])
            for r, vector in enumerate(found):
                square.store(r, vector)
            return context.get_dummy_value()

        return kinds.void(tile, kinds.intp, kinds.intp, block), generate

    return turn_square, turn_square_back


def _plus(builder: Any, number: Any, more: int) -> Any:
    return builder.add(number, number.type(more))


class _Place:
    """An array in a function that is being generated."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        self._context, self._builder, self._kind = context, builder, kind
        self.array = context.make_array(kind)(context, builder, value)

    def at(self, i: Any, j: Any, vector: Any) -> Any:
        """Return the address of a vector that begins at [i, j]."""
        from numba.core import cgutils

        item = cgutils.get_item_pointer(self._context, self._builder, self._kind, self.array, [i, j])
        return self._builder.bitcast(item, vector.as_pointer())


class _Square:
    """As many rows of a table as a vector has numbers, from [i, j] on."""

    def __init__(self, context: Any, builder: Any, kinds: tuple[Any, Any], value: Any, corner: tuple[Any, Any]) -> None:
        from llvmlite import ir  # type: ignore[import-untyped]

        self._builder, self._ir, self._corner = builder, ir, corner
        sizes = [kind.dtype.bitwidth // 8 for kind in kinds]
        self.lanes, self._size, self.size = _VECTOR // max(sizes), sizes[0], min(sizes)
        self.vector, self.other = (ir.VectorType(context.get_data_type(kind.dtype), self.lanes) for kind in kinds)
        self._place = _Place(context, builder, kinds[0], value)

    def converted(self, vector: Any, kind: Any) -> Any:
        """Return a vector in the dtype of the table or of the tile."""
        if vector.type == kind:
            return vector
        wider = isinstance(kind.element, self._ir.DoubleType)
        return (self._builder.fpext if wider else self._builder.fptrunc)(vector, kind)

    def load(self, r: int) -> Any:
        """Load the numbers of a row, with some of the next one behind them; only its own of the last row."""
        if r < self.lanes - 1:
            return self._builder.load(self._row(r), align=self.size)
        arguments = [self._row(r), self._ir.IntType(32)(self.size), self._mask(), self.vector(None)]
        return self._masked("load", self.vector, arguments)

    def store(self, r: int, vector: Any) -> None:
        """Store likewise, rows in their order."""
        if r < self.lanes - 1:
            self._builder.store(vector, self._row(r), align=self.size)
            return
        arguments = [vector, self._row(r), self._ir.IntType(32)(self.size), self._mask()]
        self._masked("store", self._ir.VoidType(), arguments)

    def turned(self, rows: list[Any]) -> list[Any]:
        """Exchange rows and columns: quarters of 2 x 2 squares, then of 4 x 4, and so on."""
        step, lanes = 1, self.lanes
        while step < lanes:
            for r in (r for r in range(lanes) if not r & step):
                a, b = rows[r], rows[r + step]
                rows[r] = self._shuffled(a, b, [i if not i & step else lanes + i - step for i in range(lanes)])
                rows[r + step] = self._shuffled(a, b, [i + step if not i & step else lanes + i for i in range(lanes)])
            step *= 2
        return rows

    def _row(self, r: int) -> Any:
        i, j = self._corner
        return self._place.at(_plus(self._builder, i, r), j, self.vector)

    def _shuffled(self, a: Any, b: Any, order: list[int]) -> Any:
        kind = self._ir.VectorType(self._ir.IntType(32), self.lanes)
        return self._builder.shuffle_vector(a, b, self._ir.Constant(kind, order))

    def _mask(self) -> Any:
        """Tell which numbers are left in a row from the square's first column on."""
        left = self._builder.sub(self._builder.extract_value(self._place.array.shape, 1), self._corner[1])
        kind = self._ir.VectorType(left.type, self.lanes)
        one = self._builder.insert_element(kind(self._ir.Undefined), left, self._ir.IntType(32)(0))
        whole = self._shuffled(one, one, [0] * self.lanes)
        return self._builder.icmp_signed("<", self._ir.Constant(kind, list(range(self.lanes))), whole)

    def _masked(self, what: str, result: Any, arguments: list[Any]) -> Any:
        from numba.core import cgutils

        kind = self._ir.FunctionType(result, [a.type for a in arguments])
        name = f"llvm.masked.{what}.v{self.lanes}f{8 * self._size}.p0"
        return self._builder.call(cgutils.get_or_insert_function(self._builder.module, kind, name), arguments)
