import threading

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.inference.running.rows import Ask, BusyError, Drawing
from smoltolk.inference.running.worker import Worker
from smoltolk.inference.sampling import Sampling


@pytest.fixture
def worker(private):
    made = Worker(private, slots=3, queue=4)
    yield made
    made.close(wait=False)


def test_many_threads_get_what_each_would_get_alone(worker, prompts):
    asks = [Ask(prompt, frozenset([end]), 15, Drawing(Sampling(1.0, 0), n)) for n, (prompt, end) in enumerate(prompts)]
    alone = [worker.continue_all([ask])[0].ids.tolist() for ask in asks]
    together = [one.ids.tolist() for one in worker.continue_all(asks)]  # more than wait at once
    assert together == alone


def test_a_full_queue_is_told_at_once(worker, prompts):
    held = threading.Event()
    ask = Ask(prompts[0][0], frozenset(), 300, at_once=True)
    rows = [worker.submit(ask, lambda made: held.wait(10))]  # the batch stands still
    with pytest.raises(BusyError, match="wait for a slot"):
        for _ in range(20):
            rows.append(worker.submit(ask, lambda made: None))
    for row in rows:
        row.cancel()
    held.set()


def test_close_finishes_or_cancels(private, prompts):
    for wait, ending in ((True, "length"), (False, "cancelled")):
        worker, told = Worker(private, slots=2), []
        started = threading.Event()
        ask = Ask(prompts[0][0], frozenset(), 60, at_once=True)
        worker.submit(ask, lambda made, told=told, started=started: (told.append(made), started.set()))
        started.wait(10)
        worker.close(wait=wait)
        assert told[-1].ending == ending and not worker.alive
        with pytest.raises(BusyError, match="closed"):
            worker.submit(ask, told.append)


def test_a_failure_is_told_to_those_it_hit_alone(private, prompts, monkeypatch):
    worker = Worker(private, slots=2)
    ask = Ask(prompts[0][0], frozenset(), 5)
    step, failing = worker.batch.step, [True]

    def fails():
        if failing.pop() if failing else False:
            raise RuntimeError("no memory")
        step()

    monkeypatch.setattr(worker.batch, "step", fails)
    with pytest.raises(RuntimeError, match="no memory"):
        worker.continue_all([ask])
    assert len(worker.continue_all([ask])[0].ids) == 5
    worker.close()


def test_refusals(worker, prompts, codec_model):
    for wrong in (np.zeros(0, np.int64), np.array([-1]), np.array([10**6])):
        with pytest.raises(InputError):
            worker.submit(Ask(wrong, frozenset(), 5), lambda made: None)
    with pytest.raises(InputError, match="room to answer"):
        worker.submit(Ask(prompts[0][0], frozenset(), 400), lambda made: None)
    with pytest.raises(InputError, match="one codebook"):
        Worker(codec_model)
