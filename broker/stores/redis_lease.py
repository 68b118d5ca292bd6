"""The lease on convergence in Redis, for brokers on any number of machines.

Keys, with the deployment's prefix before each:
  lease   "<fence>:<holder>"; ends by itself when its time is up
  fence   number of the latest holder; above the microseconds of the epoch at which it was given, so that it never
          comes twice, though the data be lost. A write with another is refused. It stays.
  pulse   when the lease was last renewed, milliseconds of the epoch. It stays.
  pauses  list of "<since>:<until>" in milliseconds: when nobody renewed it. At most `KEPT_PAUSES`; it stays.
Time is Redis' own throughout.
"""

from __future__ import annotations

from collections.abc import Sequence

from broker.core.pauses import KEPT_PAUSES, Pause
from broker.errors import StoreUnavailable
from broker.stores.lease import PAUSE_AFTER_TTLS, Standing
from signaling.redis_link import RedisLink, RedisUnavailable, Reply, Script

_TAKE = Script(
    """
local lease, fence, pulse, pauses = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local holder, ttl, had, kept, gap = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('GET', lease)
local number = redis.call('GET', fence) or '0'
local mine = ''
local left = ttl
local at = held and string.find(held, ':', 1, true)
if at and string.sub(held, at + 1) ~= holder then
  left = redis.call('PTTL', lease)
elseif at and string.sub(held, 1, at - 1) == number then
  mine = number
elseif number == had then
  mine = had
else
  mine = string.format('%.0f', math.max(tonumber(number) + 1, time[1] * 1000000 + time[2]))
  redis.call('SET', fence, mine)
end
if mine ~= '' then
  local last = tonumber(redis.call('GET', pulse))
  if last and now - last > gap then
    redis.call('RPUSH', pauses, string.format('%.0f:%.0f', last, now))
    redis.call('LTRIM', pauses, -kept, -1)
  end
  redis.call('SET', pulse, string.format('%.0f', now))
  redis.call('SET', lease, mine .. ':' .. holder, 'PX', ttl)
end
return {string.format('%.0f', now), mine, left, redis.call('LRANGE', pauses, 0, -1)}
"""
)

_GIVE_UP = Script(
    """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
"""
)


class RedisLease:
    """The lease of one deployment. The link stays its owner's to close."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._keys = [link.key(name) for name in ("lease", "fence", "pulse", "pauses")]

    async def take(self, holder: str, ttl_s: float, *, fence: int | None = None) -> Standing:
        ttl_ms = max(round(ttl_s * 1000), 1)
        arguments = (holder, ttl_ms, "" if fence is None else fence, KEPT_PAUSES, round(PAUSE_AFTER_TTLS * ttl_ms))
        try:
            return _standing(await self._link.script(_TAKE, self._keys, arguments))
        except RedisUnavailable as error:
            raise StoreUnavailable from error

    async def look(self) -> Standing:
        lease, _, _, pauses = self._keys
        commands = (("TIME",), ("PTTL", lease), ("LRANGE", pauses, 0, -1))
        try:
            replies = await self._link.calls(commands)
        except RedisUnavailable as error:
            raise StoreUnavailable from error
        match replies:
            case [[bytes(seconds), bytes(micros)], int(left), list(told)]:
                return Standing(int(seconds) + int(micros) / 1e6, None, max(left, 0) / 1000, _pauses(told))
        raise StoreUnavailable

    async def give_up(self, holder: str, fence: int) -> None:
        try:
            await self._link.script(_GIVE_UP, self._keys[:1], (f"{fence}:{holder}",))
        except RedisUnavailable as error:
            raise StoreUnavailable from error


def _standing(reply: Reply) -> Standing:
    match reply:
        case [bytes(now), bytes(mine), int(left), list(pauses)]:
            fence = int(mine) if mine else None
            return Standing(int(now) / 1000, fence, max(left, 0) / 1000, _pauses(pauses))
    raise StoreUnavailable


def _pauses(told: Sequence[Reply]) -> tuple[Pause, ...]:
    bounds = [item.split(b":") for item in told if isinstance(item, bytes)]
    return tuple(Pause(int(since) / 1000, int(until) / 1000) for since, until in bounds)
