"""The types that several rooms share."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
# Responsibilities (K, n) of the rows of a slice: those of all rows at once may be
# larger than the data.
Responsibilities = Callable[[slice], Array]
# Works through tasks: the function and the tasks -> the results in their order.
Run = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]
