"""Write formulas as MathML, which browsers draw without a script from elsewhere."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def _write_inline(translator, node):
    translator.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def _write_block(translator, node):
    text = node.astext()
    if "&" in text or r"\\" in text:
        text = rf"\begin{{aligned}}{text}\end{{aligned}}"
    math = tex2mathml(text, as_block=True)
    translator.body.append(f'<div class="math">{math}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (_write_inline, None), (_write_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
