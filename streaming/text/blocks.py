"""Process text eight bytes at a time: a block is eight consecutive bytes as one little-endian 64-bit integer."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from streaming.text.jit import inlined

U: Any = np.uint64
"""Compiled code indexes with unsigned integers: a signed index costs a check for negative values on every access."""
FOLD = U(0x2020202020202020)
"""OR-ed into a block of `A-Z a-z ' -`, it lower-cases the letters: bit 5 is already set in all the others."""
SPACES = U(0x2020202020202020)
ALL = U(0xFFFFFFFFFFFFFFFF)


@intrinsic
def _load(typingctx: Any, array: Any, index: Any) -> Any:
    """Load the eight bytes at `index` of a uint8 array. The caller guarantees that they exist."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        struct = context.make_array(signature.args[0])(context, builder, args[0])
        pointer = builder.gep(struct.data, [args[1]])
        word = ir.IntType(64)
        return builder.load(builder.bitcast(pointer, word.as_pointer()), align=1)

    return types.uint64(array, types.uint64), codegen


@intrinsic
def _count_zeros(typingctx: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), codegen


@intrinsic
def _prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Prefetch the cache line of `array[index]`. An index out of bounds is harmless."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        struct = context.make_array(signature.args[0])(context, builder, args[0])
        number = ir.IntType(32)
        pointer = builder.bitcast(builder.gep(struct.data, [args[1]]), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        declare: Any = cgutils.get_or_insert_function
        function = declare(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [pointer, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.none(array, types.uint64), codegen


load: Any = _load
prefetch: Any = _prefetch
_cttz: Any = _count_zeros


@inlined
def block(data: np.ndarray, at: np.uint64, stop: np.uint64) -> np.uint64:
    """Return the block at `at`, padded with spaces from `stop` on."""
    if at + U(8) <= stop:
        return load(data, at)
    word = SPACES
    shift = U(0)
    while at < stop:
        word = (word & ~(U(0xFF) << shift)) | (U(data[at]) << shift)
        shift += U(8)
        at += U(1)
    return word


@inlined
def head(word: np.uint64, count: np.uint64) -> np.uint64:
    """Keep the first `count` bytes of a block (all of them from 8 on) and zero the rest."""
    half = min(count, U(8)) << U(2)
    return word & ~((ALL << half) << half)  # in two steps: shifting by 64 is undefined


@inlined
def trailing_zeros(word: np.uint64) -> np.uint64:
    """Count trailing zero bits; 64 for 0."""
    return _cttz(word)
