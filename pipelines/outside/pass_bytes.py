"""Memory of one pass of any network, found without computing it."""

from __future__ import annotations

import copy
import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Kernels of a processor bring maps into a layout of their own; 1.13 to 1.56 times were measured.
_KERNELS = 1.7
UNKNOWN_BYTES = 600  # for each voxel of the input of a network that cannot be followed


def pass_bytes(net: nn.Module, shape: Sequence[int]) -> int:
    """Peak of what one pass of a network holds beside its weights and input, bytes.

    The network is run on tensors without values, and all that it makes is counted for as long as
    it is held.

    Args:
        net: In evaluation.
        shape: (B, C, X, Y, Z) of its input.

    Raises:
        RuntimeError: The network takes no input of this shape.
        ValueError: The same.
    """
    shadow, image = copy.deepcopy(net).to("meta"), torch.empty(tuple(shape), device="meta")
    with torch.inference_mode(), _Held() as held:
        try:
            shadow(image)
        except RuntimeError as error:
            if "meta" not in str(error):
                raise
            # It reads values, so that it cannot be followed without them.
            return int(max(held.peak, UNKNOWN_BYTES * math.prod(shape)))
    return int(_KERNELS * held.peak)


class _Held(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors that operations make, until these are dropped."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        made = func(*args, **(kwargs or {}))
        for value in tree_leaves(made):
            if isinstance(value, Tensor):
                self._count(value.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = int(storage._cdata)
        if key in self._known:  # a view, or a result in place
            return
        size = storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size
