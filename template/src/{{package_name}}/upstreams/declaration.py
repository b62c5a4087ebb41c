"""What a service must say about an upstream, and nothing that can be derived from it."""

from typing import Annotated

from pydantic import AfterValidator, AnyHttpUrl, BaseModel, ConfigDict, TypeAdapter

from ..resilience.policy import Name, Policy


def _checked(url: str) -> str:
    TypeAdapter(AnyHttpUrl).validate_python(url)
    return url


class Upstream(BaseModel):
    """A remote service we call.

    Args:
        name: in snake_case; its address is read from `<NAME>_BASE_URL`.
        base_url: where it is in development; used as long as the environment names no other.
        policy: how calls are protected; what it leaves out is read from `ERROR_HANDLING_…`.

    Raises:
        ValidationError: naming the argument that is wrong; a ValueError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    base_url: Annotated[str, AfterValidator(_checked)]
    policy: Policy = Policy()
