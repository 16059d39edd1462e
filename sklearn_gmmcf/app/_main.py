# SPDX-License-Identifier: BSD-3-Clause
"""What streamlit runs for each visit and each change: the pages of the app."""

from __future__ import annotations

import streamlit as st

from sklearn_gmmcf.app import _ratings, _tables

if __name__ == "__main__":
    st.set_page_config("Mixtures for missing entries", layout="wide")
    pages = [
        st.Page(_ratings.show, title="Ratings", url_path="ratings", default=True),
        st.Page(_tables.show, title="Tables", url_path="tables"),
    ]
    st.navigation(pages, position="top").run()
