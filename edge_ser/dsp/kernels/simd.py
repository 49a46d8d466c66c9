"""Sixteen frames as one value in compiled code: the type `Lanes`, its double `WideLanes`, and their operations.

Numba's loop vectoriser gives up on FFT butterflies (it cannot see that their rows do not overlap), so the
kernels say what they mean: one `Lanes` is LLVM's ``<16 x float>``, which becomes one AVX-512, two AVX or
four NEON registers; one `WideLanes` is ``<16 x double>``. Lane ``l`` only ever holds frame ``l`` of a block,
so a frame's numbers do not depend on the frames beside it, nor on how many there are: streaming equals batch
bit for bit. Which of the two a kernel works in follows from the type of its buffers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from edge_ser.dsp.kernels.jit import forceinline

__all__ = [
    "ELEMENT",
    "INDICES",
    "LANES",
    "broadcast",
    "convert",
    "exp2",
    "load",
    "log",
    "maximum",
    "minimum",
    "negative",
    "pointer_to",
    "sqrt",
    "store",
    "where_ge",
    "zeros",
]

LANES = 16

_F32 = ir.FloatType()
_F64 = ir.DoubleType()
_I32 = ir.IntType(32)
_VEC = ir.VectorType(_F32, LANES)
_WIDE = ir.VectorType(_F64, LANES)
INDICES = ir.VectorType(_I32, LANES)
_FLAGS = ("contract",)  # a product and a sum may become one fused operation


class LanesType(types.Type):
    """Numba's type of 16 float32."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


class WideLanesType(types.Type):
    """Numba's type of 16 float64."""

    def __init__(self) -> None:
        super().__init__(name="WideLanes")


lanes, wide = LanesType(), WideLanesType()
ELEMENT = {types.float32: _F32, types.float64: _F64, lanes: _F32, wide: _F64}


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _VEC)


@register_model(WideLanesType)
class _WideLanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _WIDE)


def convert(builder: Any, value: Any, element: Any) -> Any:
    """A number or vector in the precision of `element`."""
    vector = isinstance(value.type, ir.VectorType)
    if (value.type.element if vector else value.type) == element:
        return value
    change = builder.fptrunc if element == _F32 else builder.fpext
    return change(value, ir.VectorType(element, LANES) if vector else element)


def _splat(builder: Any, value: Any) -> Any:
    none = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    one = builder.insert_element(none, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, none, ir.Constant(INDICES, [0] * LANES))


def _widen(builder: Any, value: Any, kind: Any, result: Any) -> Any:
    value = convert(builder, value, ELEMENT[result])
    return value if kind == result else _splat(builder, value)


def _binary(op: Callable[..., Any], instruction: str) -> None:
    """Let `op` take two values of 16 lanes, or one and a number that is spread over all of them."""
    cases_ = []
    for vector in (lanes, wide):
        cases_.append(signature(vector, vector, vector))
        for scalar in (types.float32, types.float64):  # a literal is a float64 to Numba
            cases_ += [signature(vector, vector, scalar), signature(vector, scalar, vector)]

    @infer_global(op)
    class _Template(ConcreteTemplate):
        cases = cases_

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, b = (
            _widen(builder, value, kind, sig.return_type) for value, kind in zip(args, sig.args, strict=True)
        )
        return getattr(builder, instruction)(a, b, flags=_FLAGS)

    for case in cases_:
        lower_builtin(op, *case.args)(lower)


_binary(operator.add, "fadd")
_binary(operator.sub, "fsub")
_binary(operator.mul, "fmul")
_binary(operator.truediv, "fdiv")


@intrinsic
def broadcast(typingctx: Any, value: Any) -> Any:
    """float32 -> Lanes with it in every lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _splat(builder, args[0])

    return lanes(types.float32), codegen


@intrinsic
def negative(typingctx: Any, x: Any) -> Any:
    """``-x``, of either precision."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fneg(args[0])

    return x(x), codegen


def _vector_of(array: Any) -> Any:
    return wide if array.dtype == types.float64 else lanes


@intrinsic
def zeros(typingctx: Any, array: Any) -> Any:
    """16 zeros in the precision of an array."""
    vector = _vector_of(array)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(ir.VectorType(ELEMENT[vector], LANES), [0.0] * LANES)

    return vector(array), codegen


def pointer_to(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Where the vector lies that begins at element `index` of an array."""
    data = context.make_array(array_type)(context, builder, array).data
    vector = ir.VectorType(ELEMENT[array_type.dtype], LANES)
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """``load(array, i)``: elements ``i .. i + 15`` of a contiguous array, unaligned."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(pointer_to(context, builder, sig.args[0], args[0], args[1]), align=4)

    return _vector_of(array)(array, types.intp), codegen


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """``store(array, i, lanes)``: the inverse of `load`, rounded to the array's precision."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = convert(builder, args[2], ELEMENT[sig.args[0].dtype])
        builder.store(value, pointer_to(context, builder, sig.args[0], args[0], args[1]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


def _unary(name: str) -> Any:
    """LLVM's function `name` on all lanes."""

    @intrinsic
    def call(typingctx: Any, x: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            declaration = ir.FunctionType(_VEC, [_VEC])
            function = cgutils.get_or_insert_function(builder.module, declaration, f"llvm.{name}.v{LANES}f32")
            return builder.call(function, [args[0]])

        return lanes(lanes), codegen

    return call


sqrt = _unary("sqrt")
_nearest = _unary("nearbyint")


def _select(condition: str) -> Any:
    """``a if a CONDITION b else b``, lane by lane."""

    @intrinsic
    def choose(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.select(builder.fcmp_ordered(condition, args[0], args[1]), args[0], args[1])

        return lanes(lanes, lanes), codegen

    return choose


maximum = _select(">")
minimum = _select("<")


@intrinsic
def where_ge(typingctx: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
    """``yes if a >= b else no``, lane by lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">=", args[0], args[1]), args[2], args[3])

    return lanes(lanes, lanes, lanes, lanes), codegen


_SQRT_HALF_BITS = 0x3F3504F3


@intrinsic
def _exponent_and_mantissa(typingctx: Any, x: Any) -> Any:
    """``x = m 2**e`` with ``sqrt(1/2) <= m < sqrt(2)`` for normal ``x > 0``; returns e and m."""
    pair = types.UniTuple(lanes, 2)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def constant(value: int) -> Any:
            return ir.Constant(INDICES, [value] * LANES)

        shifted = builder.sub(builder.bitcast(args[0], INDICES), constant(_SQRT_HALF_BITS))
        exponent = builder.sitofp(builder.ashr(shifted, constant(23)), _VEC)
        mantissa = builder.add(builder.and_(shifted, constant(0x7FFFFF)), constant(_SQRT_HALF_BITS))
        return context.make_tuple(builder, pair, [exponent, builder.bitcast(mantissa, _VEC)])

    return pair(lanes), codegen


@intrinsic
def _times_power_of_two(typingctx: Any, x: Any, exponent: Any) -> Any:
    """``x 2**e`` for a whole ``e``, as long as the result is a normal number."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.shl(builder.fptosi(args[1], INDICES), ir.Constant(INDICES, [23] * LANES))
        return builder.bitcast(builder.add(builder.bitcast(args[0], INDICES), bits), _VEC)

    return lanes(lanes, lanes), codegen


# Fitted to the least largest relative error over the reduced range: 3e-8 for log(1 + f), 2e-9 for 2**f.
_LOG = (0.3333390951, -0.2500133812, 0.1996306330, -0.1657758504, 0.1491476893, -0.1426748633, 0.0870043039)
_EXP2 = (0.6931471825, 0.2402264774, 0.0555033237, 0.0096184369, 0.0013398875, 0.0001535336)
_LN2_HIGH = 0.693359375  # so few bits that its product with an exponent is exact
_LN2_LOW = -2.12194440e-4


@forceinline
def log(x: Any) -> Any:
    """Natural logarithm of positive normal numbers, within 2 units of float32's last place."""
    exponent, mantissa = _exponent_and_mantissa(x)
    f = mantissa - 1.0
    p = f * _LOG[6] + _LOG[5]
    p = f * p + _LOG[4]
    p = f * p + _LOG[3]
    p = f * p + _LOG[2]
    p = f * p + _LOG[1]
    p = f * p + _LOG[0]
    square = f * f
    small = f * square * p + exponent * _LN2_LOW - square * 0.5
    return small + f + exponent * _LN2_HIGH


@forceinline
def exp2(x: Any) -> Any:
    """2**x; x is limited to -126..127, where the result is a normal number."""
    x = minimum(maximum(x, broadcast(-126.0)), broadcast(127.0))
    whole = _nearest(x)
    f = x - whole
    p = f * _EXP2[5] + _EXP2[4]
    p = f * p + _EXP2[3]
    p = f * p + _EXP2[2]
    p = f * p + _EXP2[1]
    p = f * p + _EXP2[0]
    return _times_power_of_two(f * p + 1.0, whole)
