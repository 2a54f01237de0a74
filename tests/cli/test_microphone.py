"""Recording and playing, with a double of the library: no machine of a test has a microphone."""

import importlib
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from smoltolk.cli.microphone import Devices
from smoltolk.common.errors import InputError, MissingExtraError, NotFoundError


class Library(ModuleType):
    """Has one device, and records a ramp."""

    PortAudioError = type("PortAudioError", (Exception,), {})

    def __init__(self, inputs: int, outputs: int):
        super().__init__("sounddevice")
        self.devices, self.played = [{"max_input_channels": inputs, "max_output_channels": outputs}], []

    def query_devices(self) -> list[dict[str, int]]:
        return self.devices

    def InputStream(self, *, samplerate: int, channels: int, dtype: str, callback: Any) -> Any:
        assert (channels, dtype) == (1, "float32")

        class Stream:
            def __enter__(self) -> None:
                for start in range(0, samplerate, samplerate // 4):
                    callback(np.arange(start, start + samplerate // 4, dtype=np.float32)[:, None], 0, None, None)

            def __exit__(self, *_: Any) -> None:
                pass

        return Stream()

    def play(self, waveform: np.ndarray, rate: int, blocking: bool) -> None:
        self.played.append((len(waveform), rate, blocking))


def test_it_records_until_it_is_told_and_plays(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(1, 2)
    monkeypatch.setitem(sys.modules, "sounddevice", library)
    devices, told = Devices(), []
    recorded = devices.record(400, lambda: told.append(1))
    assert told == [1] and np.array_equal(recorded, np.arange(400, dtype=np.float32))
    devices.play(recorded, 400)
    assert library.played == [(400, 400, True)]
    library.play = lambda *_, **__: exec("raise library.PortAudioError('-9997')", {"library": library})
    with pytest.raises(NotFoundError, match="-9997"):
        devices.play(recorded, 400)


def test_a_machine_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", Library(0, 2))
    deaf = Devices()
    assert not deaf.records and deaf.plays
    with pytest.raises(NotFoundError, match="no microphone"):
        deaf.record(400, lambda: None)
    monkeypatch.setitem(sys.modules, "sounddevice", Library(0, 0))
    with pytest.raises(NotFoundError, match="no device"):
        Devices()
    monkeypatch.setitem(sys.modules, "sounddevice", Library(1, 0))
    monkeypatch.setattr(Library, "InputStream", lambda *_, **__: importlib.import_module("contextlib").nullcontext())
    with pytest.raises(InputError, match="none came"):
        Devices().record(400, lambda: None)


def test_without_the_package_or_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: str) -> ModuleType:
        raise OSError("PortAudio library not found")

    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match=r"smoltolk\[microphone\]"):
        Devices()
    monkeypatch.setattr("smoltolk.cli.microphone.require", broken)
    with pytest.raises(NotFoundError, match="PortAudio library not found"):
        Devices()
