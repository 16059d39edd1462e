# SPDX-License-Identifier: BSD-3-Clause
"""The interactive app: ``python -m sklearn_gmmcf.app`` starts it in a browser.

It needs the extra ``app`` (streamlit), which nothing else of the package imports.
"""
