"""The types that several rooms share."""

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
# Responsibilities (K, n) of the rows of a slice: those of all rows at once may be
# larger than the data.
Responsibilities = Callable[[slice], Array]
