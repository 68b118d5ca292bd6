"""The steps of the route table in Redis, each one script, so that nobody ever sees half of one.

Keys, with the deployment's prefix in braces before each, so that all lie in one slot of a Redis Cluster:
  routes              hash: session -> its route, without the record. Ends when a broker withdraws it.
  wanted:<relay>      hash: session -> the route with its record, as that relay is to serve it. Ends with it.
  moving              hash: session -> the relay that serves it until the one it moved to does. Ends then.
  reports             hash: session -> the latest report, which is about the route in `routes`. Ends with that.
  restored            hash: session -> a route of before the data were lost, from its relay. Ends when a broker
                      publishes or withdraws the session's route; or a day after no relay asks for it any more.
  feed:<relay>        stream of changes of wanted:<relay>, the last 128; n counts them, s the session, r the route.
  feed-count:<relay>  the last n. Both end a day after the last change.
  said                stream of changes of routes (w), reports (r), relays (l) and restored (o), the last ten thousand.
  said-count          the last n of it.
  relays              hash: relay -> "<until>\n<load>\n<announcement>", until in milliseconds. The relay ends it when it
                      retires, the next other one to come ten minutes after it ran out.
  keys                stream of one entry: the public keys of admission tokens.
  fence, epoch        are the broker's; they are read here.

Scripts make the other keys' names out of the one they are given: allowed in a cluster, since all share its slot.
Some write by HDEL first what HSET writes again: once a script has written, a server whose memory is full lets it go on.
What adds nothing has to go through then: withdrawals, reports, announcements.
"""

from __future__ import annotations

from signaling.redis_link import Script

_SHARED = """
local P = string.match(KEYS[1], '^(.*:)[^:]*$')
local DAY = 86400000

local function say(...)
  local n = redis.call('INCR', P .. 'said-count')
  redis.call('XADD', P .. 'said', 'MAXLEN', '~', 10000, '*', 'n', n, ...)
  return n
end

local function want(relay, session, route)
  if route == '' then
    redis.call('HDEL', P .. 'wanted:' .. relay, session)
  else
    redis.call('HSET', P .. 'wanted:' .. relay, session, route)
  end
  local feed, count = P .. 'feed:' .. relay, P .. 'feed-count:' .. relay
  local n = redis.call('INCR', count)
  redis.call('XADD', feed, 'MAXLEN', 128, '*', 'n', n, 's', session, 'r', route)
  redis.call('PEXPIRE', feed, DAY)
  redis.call('PEXPIRE', count, DAY)
end

local function read(text)
  local ok, value = pcall(cjson.decode, text)
  if ok and type(value) == 'table' then return value end
  return {}
end
"""

_FENCED = """
local fence = ARGV[1]
if fence ~= '' and redis.call('GET', P .. 'fence') ~= fence then return -1 end
"""

PUBLISH = Script(
    _SHARED
    + _FENCED
    + """
local session, relay, route, full = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local old = redis.call('HGET', P .. 'routes', session)
if old == route and redis.call('HGET', P .. 'wanted:' .. relay, session) == full then
  redis.call('HDEL', P .. 'restored', session)
  return 0
end
redis.call('HSET', P .. 'routes', session, route)
want(relay, session, full)
redis.call('HDEL', P .. 'restored', session)
if old == route then return 0 end
local before = old and read(old).relay_id
local moving = redis.call('HGET', P .. 'moving', session)
if before and before ~= relay then
  if moving then want(before, session, '') else redis.call('HSET', P .. 'moving', session, before) end
end
if moving == relay then redis.call('HDEL', P .. 'moving', session) end
redis.call('HDEL', P .. 'reports', session)
return say('s', session, 'w', route)
"""
)
"""KEYS routes; ARGV fence, session, relay, route, route with record. The change's number; 0: no change, -1: deposed."""

WITHDRAW = Script(
    _SHARED
    + _FENCED
    + """
local session = ARGV[2]
local old = redis.call('HGET', P .. 'routes', session)
local moving = redis.call('HGET', P .. 'moving', session)
for _, name in ipairs({'routes', 'reports', 'moving', 'restored'}) do redis.call('HDEL', P .. name, session) end
if moving then want(moving, session, '') end
if not old then return 0 end
local relay = read(old).relay_id
if relay then
  want(relay, session, '')
else
  for _, other in ipairs(redis.call('HKEYS', P .. 'relays')) do want(other, session, '') end
end
return say('s', session, 'w', '')
"""
)
"""KEYS routes; ARGV fence, session. As PUBLISH."""

REPORT = Script(
    _SHARED
    + """
local session, report = ARGV[1], ARGV[2]
local route = redis.call('HGET', P .. 'routes', session)
if not route then return 0 end
local wanted, said = read(route), read(report)
local to, from = wanted.backend or {}, said.backend
if wanted.relay_id ~= said.relay_id or to.host ~= from.host then return 0 end
for _, name in ipairs({'signaling_port', 'media_port'}) do
  if wanted[name] ~= said[name] or to[name] ~= from[name] then return 0 end
end
local moving = said.state == 'active' and redis.call('HGET', P .. 'moving', session)
if moving then
  redis.call('HDEL', P .. 'moving', session)
  want(moving, session, '')
end
if redis.call('HGET', P .. 'reports', session) == report then return 0 end
redis.call('HDEL', P .. 'reports', session)
redis.call('HSET', P .. 'reports', session, report)
return say('s', session, 'r', report)
"""
)
"""KEYS reports; ARGV session, report. The change's number, 0: it is not about the route that is wanted, or not new."""

ANNOUNCE = Script(
    _SHARED
    + """
local relay, announcement, load, ttl = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local relays, time = P .. 'relays', redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before = redis.call('HGET', relays, relay)
local till, said = string.match(before or '', '^(%d+)\\n[^\\n]*\\n(.*)$')
local counts = till and tonumber(till) > now
if counts and said ~= announcement then
  local one, other = read(said), read(announcement)
  local theirs, ours = one.ports or {}, other.ports
  if one.host ~= other.host or theirs.lo ~= ours.lo or theirs.hi ~= ours.hi then return said end
end
redis.call('HDEL', relays, relay)
redis.call('HSET', relays, relay, string.format('%.0f', now + ttl) .. '\\n' .. load .. '\\n' .. announcement)
if said ~= announcement or not counts then
  local all = redis.call('HGETALL', relays)
  for i = 1, #all, 2 do
    local till = tonumber(string.match(all[i + 1], '^(%d+)\\n') or 0)
    if till < now - 600000 then redis.call('HDEL', relays, all[i]) end
  end
  say('l', relay)
end
return 0
"""
)
"""KEYS relays; ARGV relay, announcement without load, load, milliseconds that it counts.

What another one elsewhere announces under this name, where there is one; then nothing was written.
"""

RETIRE = Script(
    _SHARED
    + """
local before = redis.call('HGET', KEYS[1], ARGV[1])
if not before or string.match(before, '^%d+\\n[^\\n]*\\n(.*)$') ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
return say('l', ARGV[1])
"""
)
"""KEYS relays; ARGV relay, its last announcement: it is another's to end that another made."""

LOOK = Script(
    _SHARED
    + """
local relay, known = ARGV[1], tonumber(ARGV[2])
local handed_in = {}
for i = 3, #ARGV do
  if redis.call('HEXISTS', P .. 'restored', ARGV[i]) == 1 then table.insert(handed_in, ARGV[i]) end
end
if #handed_in > 0 then redis.call('PEXPIRE', P .. 'restored', DAY) end
local count = tonumber(redis.call('GET', P .. 'feed-count:' .. relay) or 0)
local last = redis.call('XREVRANGE', P .. 'feed:' .. relay, '+', '-', 'COUNT', 1)
local position = last[1] and last[1][1] or '0-0'
local routes = count ~= known and redis.call('HGETALL', P .. 'wanted:' .. relay) or false
return {redis.call('GET', P .. 'epoch'), count, position, routes, handed_in}
"""
)
"""KEYS epoch; ARGV relay, number of the last change that is known, sessions handed in. The routes where not known."""

SAID = Script(
    _SHARED
    + """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
return {tonumber(redis.call('GET', P .. 'said-count') or 0), last[1] and last[1][1] or '0-0'}
"""
)
"""KEYS said. The number of the last change, and where to follow from."""

HAND_IN = Script(
    _SHARED
    + """
local given = false
for i = 1, #ARGV, 2 do
  if redis.call('HEXISTS', P .. 'routes', ARGV[i]) == 0 then
    redis.call('HSET', P .. 'restored', ARGV[i], ARGV[i + 1])
    given = true
  end
end
if given then
  redis.call('PEXPIRE', P .. 'restored', DAY)
  return say('o', '1')
end
return 0
"""
)
"""KEYS restored; ARGV session, route with record, and so on. Those that are wanted of some relay are left out."""

REKEY = Script(
    _SHARED
    + """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if last[1] and last[1][2][2] == ARGV[1] then return 0 end
redis.call('XADD', KEYS[1], 'MAXLEN', 1, '*', 'k', ARGV[1])
return 1
"""
)
"""KEYS keys; ARGV the keys."""
