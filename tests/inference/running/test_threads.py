import torch

from smoltolk.inference.running import threads
from smoltolk.inference.running.threads import quickest_threads


def test_the_quickest_number_is_found(sharp, monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(threads, "num_cpus", lambda: 8)
    for wanted in (1, 4):

        def seconds(model, ids, wanted=wanted):
            return 1.0 if torch.get_num_threads() == wanted else 2.0

        monkeypatch.setattr(threads, "_seconds", seconds)
        assert quickest_threads(sharp) == wanted
        assert torch.get_num_threads() == before
