"""How the page looks, drawings included, in the colours that Gradio has by day and by night."""

from __future__ import annotations

STYLE = """
.gradio-container { max-width: 1280px !important; margin: 0 auto !important; }
footer { display: none !important; }
.line { display: flex; }
.line .names { flex: none; }
.line .scroll { overflow-x: auto; flex: 1 1 0; width: 0; min-width: 0; }
.line svg { display: block; max-width: none; }
.line text { font: 11px system-ui, sans-serif; dominant-baseline: central; fill: var(--body-text-color); }
.line .names text { opacity: .7; }
.line .scroll text { text-anchor: middle; }
.line .word rect, .line .token rect { fill: var(--background-fill-secondary); }
.line .word rect { stroke: var(--border-color-primary); }
.line .wave { fill: var(--body-text-color-subdued); }
.line .wave.answer, .line .heat { fill: #0d9488; }
.line .guess rect { fill: #0b62c4; fill-opacity: calc(var(--share) * .55); }
.line .begin { stroke: #b9610a; stroke-width: 1.5; stroke-dasharray: 4 3; }
.note { opacity: .75; font-size: 12px; padding-top: 6px; }
"""
