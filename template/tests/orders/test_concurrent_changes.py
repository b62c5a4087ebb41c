"""Two who change the same order: the one who has not seen the other's change is told so."""

import asyncio

import httpx
import pytest

from tests.support.bodies import read_error

ORDER = {"sku": "A-1", "quantity": 2}


async def _change(client: httpx.AsyncClient, path: str, quantity: int, version: str) -> httpx.Response:
    return await client.patch(path, json={"quantity": quantity}, headers={"If-Match": version})


async def test_a_change_names_the_version_it_is_made_from(shop: httpx.AsyncClient) -> None:
    path = f"/v1/orders/{(await shop.post('/v1/orders', json=ORDER)).json()['id']}"
    version = (await shop.get(path)).headers["etag"]
    changed = await _change(shop, path, 3, version)
    assert (changed.status_code, changed.json()["quantity"]) == (200, 3)
    assert changed.headers["etag"] != version
    late = await _change(shop, path, 4, version)
    assert (late.status_code, read_error(late).code) == (409, "conflict")
    read = await shop.get(path)
    assert (read.json()["quantity"], read.headers["etag"]) == (3, changed.headers["etag"])


async def test_of_changes_at_the_same_time_one_is_made(shop: httpx.AsyncClient) -> None:
    for _ in range(5):
        path = f"/v1/orders/{(await shop.post('/v1/orders', json=ORDER)).json()['id']}"
        answers = await asyncio.gather(*(_change(shop, path, quantity, '"1"') for quantity in range(3, 9)))
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
        [made] = [answer.json()["quantity"] for answer in answers if answer.status_code == 200]
        assert (await shop.get(path)).json()["quantity"] == made


@pytest.mark.parametrize("headers", [{}, {"If-Match": "*"}, {"If-Match": '"canary"'}])
async def test_a_change_without_a_version_is_refused(shop: httpx.AsyncClient, headers: dict[str, str]) -> None:
    path = f"/v1/orders/{(await shop.post('/v1/orders', json=ORDER)).json()['id']}"
    refused = await shop.patch(path, json={"quantity": 3}, headers=headers)
    assert refused.status_code == 422
    assert "canary" not in refused.text


async def test_what_does_not_exist_cannot_change(shop: httpx.AsyncClient) -> None:
    assert (await _change(shop, "/v1/orders/no-such-order", 3, '"1"')).status_code == 404
