"""exp2 and log2 of sixteen floats at once, exact enough for alphas."""

from __future__ import annotations

import math

from perse_live.jit import inline_kernel
from perse_live.splatting._lanes import Lanes, bits_of, from_bits, select, to_float, truncate
from perse_live.splatting._layout import exp2_coefficients

_C0, _C1, _C2, _C3, _C4 = exp2_coefficients()
_SQUARE_ROOT_OF_TWO = math.sqrt(2)
_TWO_OVER_LN2 = 2 / math.log(2)


@inline_kernel
def exp2(power: Lanes) -> Lanes:
    """2^power for powers in (-126, 0], relative error 3e-6; outside that range the value means nothing."""
    whole = truncate(power)
    f = power - to_float(whole)
    mantissa = _C0 + f * (_C1 + f * (_C2 + f * (_C3 + f * _C4)))
    return from_bits(bits_of(mantissa) + (whole << 23))


@inline_kernel
def log2(value: Lanes) -> Lanes:
    """log2 of positive normal floats, absolute error 1e-7: exponent plus 2 artanh((m - 1) / (m + 1)) / ln 2."""
    bits = bits_of(value)
    exponent = to_float((bits >> 23) - 127)
    m = from_bits((bits & 0x7FFFFF) | 0x3F800000)
    large = m > _SQUARE_ROOT_OF_TWO
    m = select(large, 0.5 * m, m)
    exponent = select(large, exponent + 1.0, exponent)
    s = (m - 1.0) / (m + 1.0)
    t = s * s
    return exponent + _TWO_OVER_LN2 * s * (
        1.0 + t * (1 / 3 + t * (1 / 5 + t * (1 / 7 + t * (1 / 9))))
    )
