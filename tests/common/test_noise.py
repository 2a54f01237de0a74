import logging

import pytest

from smoltolk.common.noise import silence_noise


def test_what_nobody_needs_is_kept_away_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        silence_noise()
    logger = logging.getLogger("torchao")
    with caplog.at_level(logging.DEBUG, logger="torchao"):
        logger.warning("Failed to load %s: %s", "_C.so", "no such GPU")
        logger.warning("Something else")
        logger.error("Failed to load the weights")
    assert [record.getMessage() for record in caplog.records] == ["Something else", "Failed to load the weights"]
