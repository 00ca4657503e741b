"""Settings of a service that does not exist, and how a test loads them."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from flamingo_common.service import settings
from flamingo_common.service.settings import ServiceSettings

PREFIX = "FLAMINGO_TEST_"


class Settings(ServiceSettings):
    """Settings of a test service."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)

    max_items: int = Field(default=256, ge=1)
    """Maximum number."""
    names: list[str] = Field(default=[])
    """A list."""
    hub_token: str | None = None
    """A secret."""


def loader(folder):
    """Return a function of flags, the text of a file and variables, to settings and sources."""

    def load(*argv, file=None, **variables):
        if file is not None:
            (folder / "s.yaml").write_text(file)
            argv = ("--config", str(folder / "s.yaml"), *argv)
        environ = {PREFIX + name: value for name, value in variables.items()}
        return settings.resolve(Settings, argv, environ, prog="test")

    return load
