"""Examples that can only be read in order, from positions that a checkpoint can keep."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypedDict

from difflab.data.pixels import File, content_hash
from difflab.randomness import stream


class Rows(Protocol):
    """A stream of table rows, as an IterableDataset of the library `datasets` is one."""

    @property
    def num_shards(self) -> int: ...

    def iter(self, batch_size: int) -> Iterator[dict[str, list[Any]]]: ...

    def set_epoch(self, epoch: int) -> None: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...


class Example(NamedTuple):
    """An encoded picture and its class number; None for no class."""

    file: File
    label: int | None


class Stream(NamedTuple):
    """Rows, and what makes an example of one, or a ConfigError that names it; both go to workers by pickling."""

    rows: Rows
    example: Callable[[Mapping[str, Any]], Example]


class Position(TypedDict):
    """A place in a part of a stream, in plain containers.

    Attributes:
        epoch: passes over the part that are done.
        block: blocks that are done.
        taken: examples of the next block that are done.
        state: of the rows where that block begins; None at the beginning of a pass.
    """

    epoch: int
    block: int
    taken: int
    state: dict[str, Any] | None


BEGINNING = Position(epoch=0, block=0, taken=0, state=None)


class Part(NamedTuple):
    """What one worker of one process reads: one of `parts` that have no example in common, without end.

    Shards are shared out, in another order in each pass; where there are more parts than shards, examples are, each
    part reading all shards. Examples are shuffled a block at a time: a position then is that of the block's first row,
    and no example needs to be kept for the block to be had again.

    Attributes:
        whole: the stream that is shared out.
        known: hashes of the contents that are left out: those held out.
        block: examples that are shuffled at a time.
        seed: of the order of shards and examples.
        part, parts: which of how many this is.
    """

    whole: Stream
    known: frozenset[bytes]
    block: int
    seed: int
    part: int
    parts: int

    def examples(self, start: Position) -> Iterator[tuple[Example, Position]]:
        """Examples from a position on, each with the position after it.

        Raises:
            RuntimeError: for a pass in which there is none.
        """
        epoch, block, taken, state = start["epoch"], start["block"], start["taken"], start["state"]
        while True:
            rows, some = self.shared_out(epoch, state), state is not None
            for table in rows.iter(self.block):
                found = [example for example in map(self.whole.example, unbound(table)) if self.ours(example)]
                order = stream(self.seed, "stream", self.parts, self.part, block).permutation(len(found))
                for n in range(taken, len(found)):
                    some = True
                    yield found[order[n]], Position(epoch=epoch, block=block, taken=n + 1, state=state)
                block, taken, state = block + 1, 0, rows.state_dict()
            if not some:
                raise RuntimeError(f"data: part {self.part} of {self.parts} of the stream has no training examples")
            epoch, state = epoch + 1, None

    def ours(self, example: Example) -> bool:
        return content_hash(example.file.content) not in self.known

    def shared_out(self, epoch: int, state: dict[str, Any] | None) -> Rows:
        """The rows of this part in a pass, from a state on."""
        from datasets.distributed import split_dataset_by_node

        whole: Any = self.whole.rows
        by = "shards" if whole.num_shards >= self.parts else "examples"
        rows = split_dataset_by_node(whole, rank=self.part, world_size=self.parts, strategy=by)
        rows.set_epoch(int(stream(self.seed, "shards", epoch).integers(1, 2**31)))  # which orders the shards
        if state is not None:
            rows.load_state_dict(state)
        return rows


def unbound(table: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """The rows of a table that is given by its columns."""
    return (dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True))
