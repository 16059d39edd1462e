# SPDX-License-Identifier: BSD-3-Clause
"""Tables with missing entries drawn by hypothesis: a mask first, then values."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


@st.composite
def tables(draw, min_rows=2, max_rows=12, max_columns=5, every_column=True):
    """A dense table with NaN; each column observed somewhere if asked."""
    shape = draw(
        st.tuples(st.integers(min_rows, max_rows), st.integers(1, max_columns))
    )
    mask = draw(hnp.arrays(bool, shape))
    if every_column:
        mask[0] |= ~mask.any(axis=0)
    mask[0, 0] |= not mask.any()
    values = draw(
        hnp.arrays(
            np.float64, shape, elements=st.integers(-50, 50).map(lambda v: v / 8)
        )
    )
    return np.where(mask, values, np.nan)
