# SPDX-License-Identifier: BSD-3-Clause
"""The types that several rooms share."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
# Maps a slice of rows to their responsibilities (K, n_rows). A function, because the
# full array can be larger than X.
Responsibilities = Callable[[slice], Array]
# Works through tasks: takes the function and the tasks, gives the results in order.
Executor = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]
