"""Five minutes: what pruning before training is, and what ProsPr does that others do not."""

from __future__ import annotations

import streamlit as st

from app import pages
from app.learn import pictures, words
from app.ui.findings import plain
from app.ui.format import percent
from app.ui.titles import data_label, model_label

facts = words.facts()
setting = facts["setting"]
numbers = {
    "weights": setting["weights"],
    "kept": setting["kept"],
    "removed": percent(setting["sparsity"]),
    "steps": setting["steps"],
}

# Lines of text as wide as the screen are hard to read.
with st.container(width=860):
    st.title("Learn")
    st.markdown("What pruning before training is, in five minutes and five pictures.")

    st.header("A network is larger than it has to be")
    st.markdown(words.LARGE.format(**numbers))
    pictures.show_digits(facts)

    st.header("Which weights stay?")
    st.markdown(words.CHOOSE.format(**numbers))
    st.markdown(
        "\n".join(f"- **{words.LABELS[m]}** {meaning}" for m, meaning in words.MEANINGS.items())
    )
    st.markdown("#### What they keep in each layer")
    pictures.show_layers(facts)
    st.markdown(words.layers(facts))
    st.markdown("#### What they keep of each pixel")
    pictures.show_pixels(facts)
    st.caption("Stronger colour: more weights kept.")
    st.markdown(words.pixels(facts))

    st.header("What ProsPr does that others do not")
    st.markdown(words.AHEAD.format(**numbers))
    pictures.show_look_ahead(facts)
    st.caption(
        "Each line is a weight, sampled from those kept or removed only because of the "
        "look-ahead. Weights above the dashed line are kept: the highest "
        f"{percent(1 - setting['sparsity'])}. The axis is stretched towards the top."
    )
    st.markdown(words.look_ahead(facts))
    with st.expander("The same as a formula", icon=":material/function:"):
        st.markdown(words.FORMULA)
        st.markdown(f"Alizadeh et al., *Prospect Pruning*, ICLR 2022: [the paper]({words.PAPER}).")

    st.header("Does it help?")
    pictures.show_accuracy(facts)
    st.caption(
        "Points are means over the seeds; vertical lines show the range. The shares removed are "
        "evenly spaced, not to scale."
    )
    st.markdown(words.helps(facts))
    st.markdown(words.best(facts))

    st.header("Your turn")
    st.markdown(words.TURN)
    with st.container(horizontal=True):
        st.page_link(pages.NEW, label="Start a run", icon=":material/add_circle:")
        st.page_link(pages.SWEEP, label="Compare criteria", icon=":material/grid_view:")
    # The command stands in marks of code, which need no escape.
    text, command, rest = words.source(
        facts, model_label(setting["model"]), data_label(setting["data"])
    ).split("`")
    st.caption(f"{plain(text)}`{command}`{plain(rest)}")

st.header("Glossary")
pictures.show_glossary()
