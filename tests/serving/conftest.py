"""A small bundle that knows three spoken sentences by heart, and servers that offer it."""

import asyncio
import importlib.util
import io
import threading
import time
from contextlib import contextmanager

import pytest
import soundfile
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.data.rows.documents import recognition_prompt, synthesis_prompt
from smoltolk.data.rows.plain_tokens import plain_ids
from smoltolk.inference.bundle_making import Origin, make_bundle
from smoltolk.inference.speech_text import SpeechText
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.speech.audio import load_bytes
from smoltolk.speech.synthesis.espeak_synthesis import EspeakSynthesizer, espeak_available, voices
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.vocoders.kinds import fit_vocoder

# What `make more` installs; without it there is nothing to test here.
_MISSING = {module for module in ("fastapi", "uvicorn", "prometheus_client", "httpx", "openai", "schemathesis")
            if importlib.util.find_spec(module) is None}  # fmt: skip
collect_ignore_glob = ["test_*.py"] if _MISSING - {"openai", "schemathesis"} else []
collect_ignore_glob += ["test_openai_client.py"] if "openai" in _MISSING else []
collect_ignore_glob += ["test_openapi.py"] if "schemathesis" in _MISSING else []
SENTENCES = ("Mia has a dog.", "Tony comes from Tokyo.", "Anna really enjoys tennis.")


@pytest.fixture(scope="session")
def sentences():
    """What the bundle knows."""
    return SENTENCES


@pytest.fixture(scope="package")
def wavs():
    """The sentences said, as the bytes of wav files."""
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    voice, made = voices(1, seed=0, split="seen")[0], []
    for sentence in SENTENCES:
        held = io.BytesIO()
        soundfile.write(held, EspeakSynthesizer().speak(sentence, voice).waveform, 16_000, format="WAV")
        made.append(held.getvalue())
    return made


@pytest.fixture(scope="package")
def bundle_dir(wavs, phone_units_dir, tokenizer, tmp_path_factory):
    """Recognition and synthesis of the sentences, learnt by heart, and the way from one to the next in text."""
    place = tmp_path_factory.mktemp("served")
    units = load_unit_tokenizer(phone_units_dir)
    waveforms = [load_bytes(wav, longest=60) for wav in wavs]
    heard = units.encode(waveforms)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        bos_token_id=0, eos_token_id=0, max_position_embeddings=512,
    )  # fmt: skip
    model = SmolTolkForCausalLM.from_text_model(
        LlamaForCausalLM(config), num_units=units.num_units, num_input_layers=1, num_output_layers=1,
        unit_fingerprint=units.fingerprint,
    )  # fmt: skip
    documents = []
    for sentence, one in zip(SENTENCES, heard, strict=True):
        tokens = plain_ids(tokenizer, sentence)
        documents.append(recognition_prompt(model.config.id_space, one.units).text(tokens).end())
        documents.append(synthesis_prompt(model.config.id_space, tokens).speech(one.units).end())
    learn(model, documents)
    model.save_pretrained(place / "model")
    tokenizer.save_pretrained(place / "model")
    fit_vocoder(waveforms, heard, units, steps=2).save(place / "vocoder")
    origin = Origin(languages=("en",))
    make_bundle(place / "model", phone_units_dir, place / "vocoder", place / "bundle", origin=origin)
    return place / "bundle"


def learn(model, documents, steps=150):
    """By heart."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    longest = max(map(len, documents))
    ids, labels = torch.zeros(2, len(documents), longest, dtype=torch.int64)
    mask, labels = torch.zeros_like(ids), labels.fill_(-100)
    for row, document in enumerate(documents):
        ids[row, : len(document)] = torch.from_numpy(document.input_ids)
        labels[row, : len(document)] = torch.from_numpy(document.labels)
        mask[row, : len(document)] = 1
    model.train()
    for _ in range(steps):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    assert loss < 0.1, float(loss)


@pytest.fixture
def make_talker(bundle_dir):
    """A SpeechText of its own for each app: an app keeps the model."""
    return lambda: SpeechText.from_pretrained(bundle_dir)


@contextmanager
def _serving(talker, **options):
    import uvicorn

    from smoltolk.serving.app import Offer, create_app

    app = create_app({"bundle": Offer(talker)}, **options)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", app
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def serving():
    """``with serving(talker, limits=...) as (address, app)``: a server in a thread."""
    return _serving


@pytest.fixture(scope="module")
def server(bundle_dir):
    """Address and app of a server without keys."""
    from smoltolk.serving.limits import Limits

    limits = Limits(body_bytes=1 << 20, audio_seconds=10, new_ids=200, slots=8, queue=128, seconds=60)
    with _serving(SpeechText.from_pretrained(bundle_dir), limits=limits) as made:
        yield made
