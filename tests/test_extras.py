"""Without the extras, and without what only Unix has, everything is imported; what needs an extra says which."""

import subprocess
import sys

WITHOUT_EXTRAS = """
import builtins, importlib, pkgutil, socket, sys

EXTRAS = "espeakng_loader", "pocketsphinx", "lhotse", "ray", "fastapi"
UNIX = "crypt", "fcntl", "grp", "nis", "posix", "pty", "pwd", "resource", "spwd", "syslog", "termios", "tty"

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

def without_unix(name, names=None, *more, **others):  # for our modules alone: the library of this machine uses them
    if name.partition(".")[0] in UNIX and (names or {}).get("__name__", "").startswith("smoltolk"):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return imports(name, names, *more, **others)

imports, builtins.__import__ = builtins.__import__, without_unix

def no_network(*_, **__):
    raise OSError("no network")

sys.meta_path.insert(0, Without())
socket.socket.connect = no_network
import smoltolk
names = [module.name for module in pkgutil.walk_packages(smoltolk.__path__, "smoltolk.")]
for name in names:
    if not name.endswith("__main__") and name != "smoltolk.serving":  # an extra as a whole
        importlib.import_module(name)
from smoltolk.common.errors import MissingExtraError
from smoltolk.speech.alignment.aligners import aligner_named
from smoltolk.speech.recognition.recognisers import recogniser_named
from smoltolk.speech.synthesis.espeak_synthesis import EspeakSynthesizer, Voice, espeak_available
assert not espeak_available()
for extra, use in (
    ("judge", lambda: aligner_named("pocketsphinx")),
    ("judge", lambda: recogniser_named("pocketsphinx", texts=["a fox"])),
    ("serve", lambda: importlib.import_module("smoltolk.serving")),
    ("tts", lambda: EspeakSynthesizer().speak("a fox", Voice())),
):
    try:
        use()
    except MissingExtraError as error:
        assert f"pip install 'smoltolk[{extra}]'" in str(error), error
    else:
        raise AssertionError(extra)
print(len(names))
"""


def test_every_module_imports_without_extras_unix_and_network() -> None:
    run = subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout.split()[-1]) > 100
