"""The brokers that live now, in Redis, each with a word about itself.

Key, with the deployment's prefix before it:
  brokers   hash: a broker's id -> "<seen>:<word>", seen in milliseconds of the epoch. Whoever speaks takes out those
            that were silent for too long; the whole ends by itself when nobody has spoken for so long.
"""

from __future__ import annotations

from collections.abc import Mapping

from broker.errors import StoreUnavailable
from signaling.redis_link import RedisLink, RedisUnavailable, Reply, Script

_SAY = Script(
    """
local key, id, word, ttl = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', key, id, string.format('%.0f:%s', now, word))
redis.call('PEXPIRE', key, ttl)
local others = {}
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do
  local at = string.find(all[i + 1], ':', 1, true)
  local seen = at and tonumber(string.sub(all[i + 1], 1, at - 1))
  if not seen or now - seen > ttl then
    redis.call('HDEL', key, all[i])
  elseif all[i] ~= id then
    others[#others + 1] = all[i]
    others[#others + 1] = string.sub(all[i + 1], at + 1)
  end
end
return others
"""
)


class RedisBrokers:
    """The list of one deployment. The link stays its owner's to close."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._key = link.key("brokers")

    async def say(self, broker_id: str, word: str, *, ttl_s: float) -> Mapping[str, str]:
        """Say that this broker lives; what the others say of themselves, by id. Raises StoreUnavailable."""
        try:
            reply = await self._link.script(_SAY, [self._key], (broker_id, word, max(round(ttl_s * 1000), 1)))
        except RedisUnavailable as error:
            raise StoreUnavailable(reason=str(error)) from error
        return _others(reply)

    async def leave(self, broker_id: str) -> None:
        """Be listed no more. Raises StoreUnavailable."""
        try:
            await self._link.call("HDEL", self._key, broker_id)
        except RedisUnavailable as error:
            raise StoreUnavailable(reason=str(error)) from error


def _others(reply: Reply) -> Mapping[str, str]:
    if not isinstance(reply, list):
        return {}
    texts = [item.decode(errors="replace") for item in reply if isinstance(item, bytes)]
    return dict(zip(texts[::2], texts[1::2], strict=False))
