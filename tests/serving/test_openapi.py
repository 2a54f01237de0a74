"""The OpenAPI document, and what comes of requests that are made from it."""

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis.checks import not_a_server_error


@pytest.fixture(scope="module")
def described(server):
    return schemathesis.openapi.from_url(f"{server[0]}/openapi.json")


def test_nothing_that_fits_the_document_breaks_the_server(described):
    for result in described.get_all_operations():
        operation = result.ok()

        @hypothesis.settings(
            max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
        )
        @hypothesis.given(case=operation.as_strategy())
        def ask(case):
            if isinstance(case.body, dict) and "model" in case.body:
                case.body["model"] = "bundle"  # otherwise nearly all of them ask for models that are not there
            response = case.call(timeout=60)
            case.validate_response(response, checks=[not_a_server_error])
            assert response.status_code < 500

        ask()


def test_the_document_has_examples(server):
    document = httpx.get(f"{server[0]}/openapi.json").json()
    for path in ("/v1/audio/speech", "/v1/chat/completions", "/v1/completions"):
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        for example in content["examples"].values():
            value = {**example["value"], **({"max_tokens": 5} if path != "/v1/audio/speech" else {})}
            assert httpx.post(f"{server[0]}{path}", json=value, timeout=60).status_code == 200, example
