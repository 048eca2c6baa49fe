"""Texts of the New run and Sweep pages."""

HOW = (
    "How small can a network get before it breaks? Choose one, remove most of its weights before "
    "training, and see how much it still learns."
)

INTRO = """\
## What happens when you press the button

1. **Score.** A criterion scores how much each weight matters. ProsPr looks a few training steps
   ahead: how much does the weight matter for what the network will have learned by then?
2. **Prune.** The weights with the lowest scores are set to zero, or the channels with the lowest
   scores are taken out, before any training.
3. **Train.** The pruned and the dense network train side by side, on the same images in the same
   order.
4. **Test and check.** Both classify images they have never seen. The pruned network becomes an
   ONNX file, which is checked before you get it.
"""

SHARE = "Copy this page's address to share these settings."
SHARE_OWN = "Your own files are not included."
