# SPDX-License-Identifier: BSD-3-Clause
"""Write formulas as MathML, which browsers draw without an external script."""

import re

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

# A subscript of a group with one accented letter would be set below it, as a limit.
_ACCENTED = re.compile(r"(\\(?:bar|hat|tilde) [a-z])\}(?=[_^])")


def _read(node):
    return _ACCENTED.sub(r"\1{}}", node.astext())


def _write_inline(translator, node):
    translator.body.append(tex2mathml(_read(node), as_block=False))
    raise nodes.SkipNode


def _write_block(translator, node):
    text = _read(node)
    if "&" in text or r"\\" in text:
        text = rf"\begin{{aligned}}{text}\end{{aligned}}"
    math = tex2mathml(text, as_block=True)
    translator.body.append(f'<div class="math">{math}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (_write_inline, None), (_write_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
