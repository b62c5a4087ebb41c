"""The document tells of the errors that are sent, in the form in which they are sent."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.subject import MEDIA_TYPE, ErrorResponse, create_app
from tests.support import failing
from tests.support.environment import make_settings


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    app = create_app(make_settings(tmp_path_factory.mktemp("openapi")))
    app.include_router(failing.router)
    return app.openapi()


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    references: list[str] = []

    def collect(node: object) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                references.append(node["$ref"])
            for value in node.values():
                collect(value)
        elif isinstance(node, list):
            for value in node:
                collect(value)

    collect(document)
    assert references
    assert {reference.removeprefix("#/components/schemas/") for reference in references} <= schemas.keys()
    assert "HTTPValidationError" not in schemas


def test_every_operation_documents_what_any_can_send(document: dict[str, Any]) -> None:
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert operations
    for operation in operations:
        assert {"500", "503", "504"} <= operation["responses"].keys()
        if "requestBody" in operation:
            assert {"400", "413", "422"} <= operation["responses"].keys()


@pytest.mark.parametrize(
    ("method", "path", "template"),
    [
        ("POST", "/fail/login", "/fail/login"),
        ("GET", "/fail/endpoint", "/fail/endpoint"),
        ("GET", "/fail/slow?seconds=5", "/fail/slow"),
        ("GET", "/fail/slow?seconds=x", "/fail/slow"),
    ],
)
async def test_what_is_sent_is_documented(
    failing_client: httpx.AsyncClient, document: dict[str, Any], method: str, path: str, template: str
) -> None:
    response = await failing_client.request(method, path)
    documented = document["paths"][template][method.lower()]["responses"][str(response.status_code)]
    assert response.headers["content-type"] == MEDIA_TYPE
    assert documented["content"][MEDIA_TYPE]["schema"] == {"$ref": "#/components/schemas/ErrorResponse"}
    assert ErrorResponse.model_validate(response.json(), strict=True).model_dump(exclude_unset=True) == response.json()


def test_the_document_is_the_same_when_asked_again(tmp_path: Path) -> None:
    app = create_app(make_settings(tmp_path))
    assert app.openapi() is app.openapi()
