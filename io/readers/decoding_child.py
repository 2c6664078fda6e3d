"""A child process that runs native code on untrusted bytes: a crash costs one file, not a batch.

The child is a module of this package. It gets one JSON line a request on standard input and
answers with one JSON line, which has ``shape`` and ``dtype`` when an array follows it as raw
bytes, or ``error``.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits

Arrays = tuple[NDArray[Any], ...]
_LINE = 1 << 16  # bytes of an answer's first line


class DecodingChild:
    """Asks a child, starts it when needed, and ends it with the ``with`` block.

    Args:
        module: Name of the module that the child runs; its ``main`` is :func:`serve`.
        limits: Memory of the child, and seconds that an answer may take.
    """

    def __init__(self, module: str, limits: Limits) -> None:
        self._command = [sys.executable, "-m", module, str(limits.decode_memory_bytes)]
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  closed in __exit__

    def __enter__(self) -> DecodingChild:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        self._words.close()

    def ask(self, request: dict[str, Any], name: str) -> tuple[dict[str, Any], Arrays]:
        """Send a request, wait for the answer.

        Args:
            request: Plain data.
            name: File for messages.

        Returns:
            The answer, and the arrays that came with it.

        Raises:
            InputError: The child refused, crashed, or took too long.
            LimitError: An array is larger than what may be read.
        """
        child = self._process or self._start()
        late = threading.Event()
        timer = threading.Timer(self._limits.decode_seconds, _stop, (child, late))
        timer.start()
        try:
            answer, arrays = self._exchange(child, request, name)
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._end()
            if late.is_set():
                raise LimitError(
                    f"{name}: not decoded within {self._limits.decode_seconds} s",
                    "raise MMTOOL_DECODE_SECONDS if the file is what you expect",
                ) from error
            raise InputError(
                f"{name}: can't be decoded", "the file is broken, or no file of this kind"
            ) from error
        except BaseException:
            self._end()
            raise
        finally:
            timer.cancel()
        if "error" in answer:
            raise InputError(f"{name}: {answer['error']}", str(answer.get("hint", "")))
        return answer, arrays

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words
        )
        return self._process

    def _end(self) -> None:
        child, self._process = self._process, None
        if child is not None:
            child.kill()
            child.communicate()

    def _exchange(
        self, child: subprocess.Popen[bytes], request: dict[str, Any], name: str
    ) -> tuple[dict[str, Any], Arrays]:
        if child.stdin is None or child.stdout is None:
            raise ValueError("the child has no pipes")
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()
        answer = json.loads(child.stdout.readline(_LINE))
        arrays = []
        for part in answer.pop("arrays", ()):
            shape, dtype = tuple(part["shape"]), np.dtype(part["dtype"])
            size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            if size > self._limits.max_inflated_bytes:
                raise LimitError(
                    f"{name}: decodes to {size:,} bytes",
                    "raise MMTOOL_MAX_INFLATED_BYTES if the file is what you expect",
                )
            data = child.stdout.read(size)
            if len(data) != size:
                raise ValueError("the answer is cut short")
            arrays.append(np.frombuffer(data, dtype).reshape(shape))
        return answer, tuple(arrays)


def _stop(child: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    child.kill()


class Refusal(Exception):  # noqa: N818
    """The child's own word on what is wrong with a file."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def serve(
    answer: Callable[[dict[str, Any]], tuple[dict[str, Any], Iterable[NDArray[Any]]]],
) -> None:
    """Main loop of a child: answer every request on standard input until it ends."""
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    out = sys.stdout.buffer
    for line in sys.stdin:
        try:
            words, arrays = answer(json.loads(line))
            whole = [np.ascontiguousarray(a, a.dtype.newbyteorder("=")) for a in arrays]
            heads = [{"shape": a.shape, "dtype": a.dtype.str} for a in whole]
            words = {**words, "arrays": heads}
        except Refusal as error:
            words, whole = {"error": error.message, "hint": error.hint}, []
        except Exception as error:  # noqa: BLE001  native bindings raise anything
            words, whole = {"error": f"can't be decoded ({type(error).__name__})"}, []
        out.write(json.dumps(words).encode() + b"\n")
        for array in whole:
            out.write(array.data)
        out.flush()
