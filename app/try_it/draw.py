"""A drawing area for mouse, pen or finger, which Streamlit lacks.

The browser keeps the strokes, for Undo and Clear; after each change it sends the drawing as a PNG,
transparent where nothing was drawn. Background and strokes have the colours of the training images,
whatever the theme.
"""

from __future__ import annotations

import streamlit as st

SIDE = 280  # pixels of the picture that is sent
BRUSH = 24  # pixels, at first
LABEL = (
    "Drawing area, for mouse, pen or finger. With a keyboard, choose Upload or Test image instead."
)

HTML = f"""
<div class="board">
  <canvas width="{SIDE}" height="{SIDE}" role="img" aria-label="{LABEL}"></canvas>
  <div class="tools">
    <button type="button" class="undo">Undo</button>
    <button type="button" class="clear">Clear</button>
    <label class="colour">Colour <input type="color" value="#000000"></label>
    <label class="brush">Brush
      <input type="range" min="6" max="48" step="2" value="{BRUSH}"></label>
  </div>
</div>
"""

CSS = """
.board { max-width: 320px; font-family: var(--st-font); color: var(--st-text-color); }
canvas {
  display: block; box-sizing: border-box; width: 100%; aspect-ratio: 1; cursor: crosshair;
  touch-action: none; border: 1px solid var(--st-border-color);
  border-radius: var(--st-base-radius);
}
.tools { display: flex; flex-wrap: wrap; gap: 0.5rem 0.75rem; align-items: center;
  margin-top: 0.5rem; }
button {
  font: inherit; color: inherit; background: var(--st-background-color); min-height: 2.5rem;
  padding: 0.25rem 0.75rem; border: 1px solid var(--st-border-color);
  border-radius: var(--st-button-radius); cursor: pointer;
}
button:hover { border-color: var(--st-primary-color); color: var(--st-primary-color); }
button:disabled { opacity: 0.5; cursor: default; }
label { display: flex; align-items: center; gap: 0.5rem; font-size: 0.875rem; }
.brush { flex: 1 1 8rem; }
.brush input { flex: 1; min-width: 4rem; accent-color: var(--st-primary-color); }
.colour[hidden] { display: none; }
:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
"""

JS = """
const boards = new WeakMap()

function paint(context, stroke) {
  context.strokeStyle = context.fillStyle = stroke.colour
  context.lineWidth = stroke.width
  context.lineCap = context.lineJoin = "round"
  const [[x, y], ...rest] = stroke.points
  context.beginPath()
  if (rest.length === 0) {
    context.arc(x, y, stroke.width / 2, 0, 2 * Math.PI)
    context.fill()
    return
  }
  context.moveTo(x, y)
  for (const [a, b] of rest) context.lineTo(a, b)
  context.stroke()
}

export default function (component) {
  const { parentElement, data, setStateValue } = component
  const find = selector => parentElement.querySelector(selector)
  const canvas = find("canvas")
  const context = canvas.getContext("2d")
  // Everything below runs again whenever the data or the theme change; the strokes stay.
  if (!boards.has(canvas)) boards.set(canvas, { strokes: [], pointer: null })
  const board = boards.get(canvas)

  canvas.style.background = data.ground
  find(".colour").hidden = !data.colours
  const tools = () => {
    find(".undo").disabled = find(".clear").disabled = board.strokes.length === 0
  }
  const redraw = () => {
    context.clearRect(0, 0, canvas.width, canvas.height)
    board.strokes.forEach(stroke => paint(context, stroke))
    tools()
  }
  const send = () =>
    setStateValue("drawing", board.strokes.length ? canvas.toDataURL("image/png") : "")
  const place = event => {
    const box = canvas.getBoundingClientRect()
    const scale = canvas.width / box.width
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale]
  }

  canvas.onpointerdown = event => {
    if (board.pointer !== null || event.button !== 0) return
    event.preventDefault()
    canvas.setPointerCapture(event.pointerId)
    board.pointer = event.pointerId
    board.strokes.push({
      points: [place(event)],
      width: Number(find(".brush input").value),
      colour: data.colours ? find(".colour input").value : data.ink,
    })
    redraw()
  }
  canvas.onpointermove = event => {
    if (event.pointerId !== board.pointer) return
    board.strokes.at(-1).points.push(place(event))
    redraw()
  }
  canvas.onpointerup = canvas.onpointercancel = event => {
    if (event.pointerId !== board.pointer) return
    board.pointer = null
    send()
  }
  find(".undo").onclick = () => {
    board.strokes.pop()
    redraw()
    send()
  }
  find(".clear").onclick = () => {
    board.strokes.length = 0
    redraw()
    send()
  }
  tools()
}
"""

_board = st.components.v2.component("prospr_drawing_board", html=HTML, css=CSS, js=JS)


def draw(ground: str | None, colours: bool, key: str) -> str:
    """Show the board and return the drawing as a data URL, "" while it is empty.

    ``ground`` is "dark" or "light"; without one the paper is white and, if ``colours``, the
    strokes may have any colour. Whatever the browser sends comes back unchecked.
    """
    dark = ground == "dark"
    board = _board(
        key=key,
        data={
            "ground": "#000000" if dark else "#FFFFFF",
            "ink": "#FFFFFF" if dark else "#000000",
            "colours": colours and ground is None,
        },
        default={"drawing": ""},
        on_drawing_change=lambda: None,
    )
    return str(board.drawing or "")
