"""What other libraries say when they are imported, and nobody can do anything about."""

from __future__ import annotations

import logging

# Logger -> how its lines about kernels look that were not built for this machine, and that nothing here needs.
_NOISE = {
    "torchao": "Failed to load ",
    "torch.utils._pytree": "is an Enum subclass and is now natively supported by torch.compile",
}


class _Without(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is told."""
        return record.levelno >= logging.ERROR or _NOISE[record.name] not in record.getMessage()


def silence_noise() -> None:
    """Keep those lines away, and no others; before transformers is imported, which imports torchao where it is."""
    for name in _NOISE:
        logger = logging.getLogger(name)
        if not any(isinstance(one, _Without) for one in logger.filters):
            logger.addFilter(_Without())
