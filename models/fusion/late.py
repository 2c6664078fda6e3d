"""No fusion below the head: the pooled text is joined to the finest features there (late)."""

from __future__ import annotations

from torch import Tensor, nn

from mmtool.models.fusion.fused import Fused


class Late(nn.Module):
    """Late concatenation: the image's features stay as they are, the head gets text beside them.

    Args:
        image: Channels of the deepest image features.
        text: Channels of the words.
        dense: Channels of the dense prompt (not given here).
    """

    def __init__(self, image: int, text: int, dense: int) -> None:
        super().__init__()
        del image, text, dense

    def forward(self, image: Tensor, words: Tensor, mask: Tensor, pooled: Tensor) -> Fused:
        """See :class:`Fused`; nothing is changed."""
        del words, mask
        return Fused(image, None, pooled)
