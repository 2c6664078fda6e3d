"""Tables in Parquet, through pyarrow (``mmtool[parquet]``), as rows of text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits

_MAGIC = b"PAR1"
_ROWS = 64  # of a block: a row may hold tens of thousands of cells


def is_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == _MAGIC


def parquet_rows(
    path: Path, limits: Limits
) -> tuple[tuple[str, ...], Iterator[tuple[int, list[str]]]]:
    """Header, and number and cells of each row; null is empty.

    Raises:
        InputError: pyarrow is not installed, or can't read the file.
        LimitError: The file, or what it holds, is larger than the limits allow.
    """
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(
            f"{path}: a Parquet file, and pyarrow is not installed",
            "pip install 'mmtool[parquet]', or save it as CSV",
        ) from error
    if path.stat().st_size > limits.max_file_bytes:
        raise LimitError(f"{path}: larger than the limit", "raise MMTOOL_MAX_FILE_BYTES")
    try:
        file = parquet.ParquetFile(path)
    except (arrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: can't be read as Parquet", "write it again") from error
    groups = range(file.metadata.num_row_groups)
    inflated = sum(file.metadata.row_group(i).total_byte_size for i in groups)
    if inflated > limits.max_inflated_bytes:
        raise LimitError(f"{path}: {inflated:,} bytes unpacked", "raise MMTOOL_MAX_INFLATED_BYTES")

    def rows() -> Iterator[tuple[int, list[str]]]:
        number = 0
        try:
            for batch in file.iter_batches(batch_size=_ROWS):
                columns = [column.to_pylist() for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    number += 1
                    yield number, ["" if c is None else str(c) for c in cells]
        except (arrow.ArrowException, OSError) as error:
            raise InputError(f"{path}: can't be read as Parquet", "write it again") from error

    return tuple(str(name).strip() for name in file.schema_arrow.names), rows()
