"""Arrays of any library as NumPy arrays on the host, without a copy where that is possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy


def as_array(source: Any) -> numpy.ndarray[Any, numpy.dtype[Any]]:
    """A row-major array of f32 or f64 of what has ``__dlpack__``, the buffer protocol or ``__array__``.

    Raises:
        TypeError: it is none of these, or holds no real numbers.
    """
    import numpy

    if isinstance(source, numpy.ndarray):
        array = source
    elif hasattr(source, "__dlpack__"):
        array = _from_dlpack(source)
    else:
        array = numpy.asarray(source)
    if array.dtype == object or numpy.iscomplexobj(array) or array.dtype.kind not in "fiub":
        raise TypeError(f"an array of {array.dtype} has no largest singular value: expected real numbers")
    wide = numpy.float64 if array.dtype.kind != "f" or array.dtype.itemsize > 4 else numpy.float32
    return numpy.ascontiguousarray(array, dtype=wide)


def _from_dlpack(source: Any) -> Any:
    import numpy

    if hasattr(source, "detach"):
        # A tensor of PyTorch: NumPy takes none that requires a gradient, is on another device or in bfloat16.
        source = source.detach().cpu()
        if str(source.dtype) == "torch.bfloat16":
            source = source.float()
    try:
        return numpy.from_dlpack(source)
    except (BufferError, RuntimeError, TypeError) as error:
        raise TypeError(f"{type(source).__name__} cannot be read as an array: {error}") from None
