"""Work that overlaps with other work: `ahead` reads in advance, `Behind` writes in the background.

Both hold a limited number of items, so that memory does not grow if one side is faster.
"""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")


def ahead(source: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """Yield the items of `source`, of which a thread makes up to `depth` in advance; its errors are raised here.

    If the reader stops early, the thread stops at its next item and closes `source`.
    """
    items: queue.Queue[tuple[Item | None, BaseException | None, bool]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: Item | None, error: BaseException | None = None, last: bool = False) -> None:
        while not stopped.is_set():
            try:
                return items.put((item, error, last), timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        iterator = iter(source)
        try:
            for item in iterator:
                put(item)
                if stopped.is_set():
                    break
            put(None, last=True)
        except BaseException as error:
            put(None, error, last=True)
        finally:
            if hasattr(iterator, "close"):
                iterator.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error, last = items.get()
            if error is not None:
                raise error
            if last:
                return
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()


class Behind:
    """A thread that does the work it is given in order, with at most `depth` things waiting."""

    def __init__(self, depth: int):
        self.room = threading.Semaphore(depth)
        self.pool = ThreadPoolExecutor(1)

    def do(self, work: Callable[..., Any], *arguments: Any) -> Future:
        """Queue `work`, waiting only if too much is queued; the future gets its result or error."""
        self.room.acquire()
        future = self.pool.submit(work, *arguments)
        future.add_done_callback(lambda _: self.room.release())
        return future

    def close(self) -> None:
        """Finish all work and end the thread."""
        self.pool.shutdown()
