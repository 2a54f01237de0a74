"""What ``/v1/chat/completions`` takes."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from smoltolk.serving.parts import Part
from smoltolk.serving.speaking import ChatAudio
from smoltolk.serving.wire import Form, Seed, Stop, StreamOptions, Temperature, TopK, TopP


class AnswerId(BaseModel):
    """An earlier spoken answer; what else clients send of it was for them."""

    model_config = ConfigDict(extra="ignore")
    id: str = Field(max_length=128)


class Message(BaseModel):
    """A turn."""

    model_config = ConfigDict(extra="ignore")
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[Part], Field(max_length=1000)] | None = None
    audio: AnswerId | None = Field(None, description="Of an assistant: what it said earlier.")


class ChatForm(Form):
    """A dialogue to go on with."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset(
        {"frequency_penalty", "presence_penalty", "logit_bias", "metadata", "store", "user", "tools", "tool_choice",
         "parallel_tool_calls", "response_format", "reasoning_effort", "verbosity", "service_tier", "prediction",
         "web_search_options", "safety_identifier", "prompt_cache_key", "moderation", "functions", "function_call",
         "prompt_cache_options", "prompt_cache_retention"}
    )  # fmt: skip

    model: str
    messages: list[Message] = Field(min_length=1, max_length=1000)
    modalities: list[Literal["text", "audio"]] | None = Field(None, description="With audio the answer is spoken.")
    audio: ChatAudio | None = None
    max_completion_tokens: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)
    temperature: Temperature = None
    top_p: TopP = None
    top_k: TopK = None
    seed: Seed = None
    n: int | None = Field(1, ge=1)
    stop: Stop = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    logprobs: bool | None = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    frequency_penalty: Any = None
    presence_penalty: Any = None
    logit_bias: Any = None
    metadata: Any = None
    store: Any = None
    user: Any = None
    tools: Any = None
    tool_choice: Any = None
    parallel_tool_calls: Any = None
    functions: Any = None
    function_call: Any = None
    response_format: Any = None
    reasoning_effort: Any = None
    verbosity: Any = None
    service_tier: Any = None
    prediction: Any = None
    web_search_options: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    moderation: Any = None

    @property
    def speaks(self) -> bool:
        """Whether the answer is spoken."""
        return "audio" in (self.modalities or ())


_TURN = {"role": "user", "content": "In Oslo, Mia has a dog."}
EXAMPLES: dict[str, Any] = {
    "written": {"value": {"model": "bundle", "messages": [_TURN], "seed": 0}},
    "spoken": {
        "value": {"model": "bundle", "messages": [_TURN], "modalities": ["text", "audio"], "audio": {"format": "wav"}}
    },
}
