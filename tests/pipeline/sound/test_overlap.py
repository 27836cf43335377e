import threading
import time

import pytest

from pipeline.sound.overlap import Behind, ahead


def test_items_are_read_in_order_and_a_few_ahead():
    made = []

    def source():
        for i in range(100):
            made.append(i)
            yield i

    items = ahead(source(), 3)
    assert next(items) == 0
    time.sleep(0.3)
    assert 2 <= len(made) <= 6
    assert list(items) == list(range(1, 100))


def test_the_error_of_a_source_is_raised_where_it_is_read():
    def source():
        yield 1
        raise ValueError("broken")

    items = ahead(source(), 5)
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)


def test_a_reader_that_stops_ends_the_thread_and_closes_the_source():
    closed = threading.Event()

    def source():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    items = ahead(source(), 2)
    next(items)
    items.close()
    assert closed.wait(5)
    assert threading.active_count() == before


def test_work_behind_is_done_in_order_and_its_errors_are_kept():
    done, behind = [], Behind(2)
    futures = [behind.do(done.append, i) for i in range(20)]
    failed = behind.do(lambda: 1 / 0)
    behind.close()
    assert done == list(range(20))
    assert all(future.done() for future in futures)
    with pytest.raises(ZeroDivisionError):
        failed.result()


def test_handing_over_too_much_work_waits():
    gate, behind, given = threading.Event(), Behind(2), []

    def give():
        for _ in range(5):
            behind.do(gate.wait)
            given.append(1)

    thread = threading.Thread(target=give)
    thread.start()
    time.sleep(0.3)
    assert len(given) == 2
    gate.set()
    thread.join()
    behind.close()
    assert len(given) == 5
