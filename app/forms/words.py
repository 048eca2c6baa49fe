"""What the first page says."""

HOW = (
    "How small can a network get before it breaks? Choose one, remove most of its weights before "
    "training, and see what it still learns."
)

INTRO = """\
## What happens when you press the button

1. **Score.** How much does every weight matter? Each criterion answers in its own way; ProsPr looks
   a few training steps ahead: does it matter for what the network will have learned by then?
2. **Prune.** The weights that matter least are set to zero, before any training.
3. **Train.** The pruned network learns beside the full one, on the same images in the same order.
4. **Test and prove.** Both classify images they have never seen; the pruned one becomes an
   ONNX file that is checked before you get it.
"""

SHARE = "The address of this page holds these settings: copy it to share the settings."
SHARE_OWN = "Your own files are not included."
