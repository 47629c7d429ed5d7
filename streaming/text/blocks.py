"""Text eight bytes at a time: a block is eight consecutive bytes as one little-endian 64-bit number."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from streaming.text.jit import inlined

U: Any = np.uint64
"""Compiled code uses unsigned indices: a signed one could be negative, which has to be asked each time."""
ONES = U(0x0101010101010101)
FOLD = U(0x2020202020202020)
"""Added to a block of `A-Z a-z ' -` it gives lower case: bit 5 is set already in a-z, apostrophe and hyphen."""
SPACES = U(0x2020202020202020)
ALL = U(0xFFFFFFFFFFFFFFFF)


@intrinsic
def _load(typingctx: Any, array: Any, index: Any) -> Any:
    """The eight bytes from `index` of a uint8 array; the caller has made sure that they exist."""

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
    """Have the cache line of `array[index]` fetched, without waiting for it. Any index will do."""

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
_trailing_zeros: Any = _count_zeros


@inlined
def block(data: np.ndarray, at: np.uint64, stop: np.uint64) -> np.uint64:
    """The block at `at`; what lies at or behind `stop` is seen as spaces."""
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
    """The first `count` bytes of a block (all from 8 on), the others zero."""
    half = min(count, U(8)) << U(2)
    return word & ~((ALL << half) << half)  # in two steps: shifting by 64 is undefined


@inlined
def zeros(word: np.uint64) -> np.uint64:
    """How many of the lowest bits are zero; 64 for 0."""
    return _trailing_zeros(word)


@inlined
def bits(flags: np.uint64) -> np.uint64:
    """Eight bytes that are 0 or 1 become the eight lowest bits, the first byte the lowest.

    Byte i times bit 56 - 7i of the factor lands on bit 56 + i, and no two products land on the same bit.
    """
    return (flags * U(0x0102040810204080)) >> U(56)


@inlined
def is_white(byte: np.uint64) -> bool:
    """Whether one byte is ASCII white space: space, tab, line feed, vertical tab, form feed, carriage return."""
    return byte == U(32) or (byte - U(9)) < U(5)
