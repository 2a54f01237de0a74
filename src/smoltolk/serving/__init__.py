"""Models served by the OpenAI API. The whole room is the extra ``serve``: without it, this import says so."""

from smoltolk.common.errors import require

for _module in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
    require(_module, "serving")
