"""Settings of `pixelferry relay`: those of the relay, of its way to Redis, and of the process."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from broker.settings import SURROUNDINGS, Listen, LogFormat, LogLevel
from signaling.redis_settings import RedisSettings
from signaling.settings import RelaySettings


class RelayProcessSettings(BaseSettings):
    """One relay, or several on the cores of one machine."""

    model_config = SURROUNDINGS

    relay: RelaySettings = Field(default_factory=RelaySettings)
    """The relay, as signaling/settings.py has it."""

    redis: RedisSettings
    """Where the route table is, as signaling/redis_settings.py has it; brokers have the same."""

    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """So many processes, one a core: ports and capacity are split between them, they are called `<id>-1` and so on."""

    listen: Listen | None = None
    """Where health and metrics are: `host:port`; of several workers the second has the next port, and so on. Whoever
    reaches it may read them. Default: nowhere."""

    handover_folder: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    """Where a relay waits for the one that takes over (`--takeover`); the relay's user alone may enter it. Default: a
    folder `pixelferry-<user>` in $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR or that for temporary files."""

    log_format: LogFormat = LogFormat.TEXT
    """Log lines for people, or as JSON."""

    log_level: LogLevel = LogLevel.INFO
    """The least that is logged."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """As the broker's: `broker.settings.load` merges the sources."""
        return (init_settings,)
