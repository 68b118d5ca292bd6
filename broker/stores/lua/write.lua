-- Writes one session with its claims, counts and events, or nothing at all. broker/stores/redis.py has the keys.
-- Whatever may be refused, or may not be of its type, is read before the first write: a script that fails half-way
-- is not undone. The first write is one that Redis refuses while its memory is full.
local base = KEYS[1]
local id, stamp_before, epoch, fence = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local header, json = ARGV[5], ARGV[6]
local bounds, linger, forget_at = ARGV[7], ARGV[8], ARGV[9]
local events, event_count = ARGV[10], tonumber(ARGV[11])
local now, writer = ARGV[12], ARGV[13]
local kept_changes, kept_ended, changes_ttl_ms = ARGV[14], tonumber(ARGV[15]), ARGV[16]

local time = redis.call('TIME')
now = now ~= '' and tonumber(now) or time[1] + time[2] / 1e6

local function set_of(words)
  local set = {}
  for word in string.gmatch(words, '%S+') do set[word] = true end
  return set
end

local function pairs_of(words)
  local found = {}
  for name, value in string.gmatch(words, '(%S+) (%S+)') do found[name] = value end
  return found
end

local function ms_until(at) return math.max(math.ceil((at - now) * 1000), 1) end

local function lives_for(key, ms)
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms) end
end

local stored = redis.call('GET', base .. 'epoch')
if stored ~= epoch then return {'epoch'} end
if fence ~= '' and (redis.call('GET', base .. 'fence') or '0') ~= fence then return {'deposed'} end

local key = base .. 'session:' .. id
local record = redis.pcall('GET', key)
if type(record) == 'table' then return {'race', false} end
local stamp, claims_before, pools_before = '', '', ''
if record then stamp, claims_before, pools_before = string.match(record, '^(%S+)\n([^\n]*)\n([^\n]*)\n') end
if stamp ~= stamp_before then return {'race', record} end

-- Most writes leave claims and counts alone: only what differs is of interest.
local claims_after, pools_after = string.match(header, '^([^\n]*)\n([^\n]*)$')
local had, held, counted, counts = {}, {}, {}, {}
if claims_before ~= claims_after then had, held = set_of(claims_before), set_of(claims_after) end
if pools_before ~= pools_after then counted, counts = set_of(pools_before), set_of(pools_after) end

local taken, taken_keys = {}, {}
for claim in pairs(held) do
  if not had[claim] then
    taken[#taken + 1] = claim
    taken_keys[#taken_keys + 1] = base .. 'claim:' .. claim
  end
end
if #taken > 0 then
  for at, owner in ipairs(redis.call('MGET', unpack(taken_keys))) do
    if owner then
      local lapses_at = string.match(owner, '^~(.+)$')
      if not lapses_at or tonumber(lapses_at) > now then return {'taken', taken[at], owner} end
    end
  end
end
if pools_before ~= pools_after then redis.call('HLEN', base .. 'pools') end
for pool, most in pairs(pairs_of(bounds)) do
  local count = tonumber(redis.call('HGET', base .. 'pools', pool) or 0)
  count = count + (counts[pool] and 1 or 0) - (counted[pool] and 1 or 0)
  if count > tonumber(most) then return {'full', pool} end
end
local last_event = tonumber(redis.call('HGET', base .. 'count', 'event') or 0)
if forget_at ~= '' or not record then redis.call('SCARD', base .. 'live') end
if forget_at ~= '' then redis.call('ZCARD', base .. 'ended') end
if linger ~= '' then redis.call('ZCARD', base .. 'lingering') end
redis.call('XLEN', base .. 'changes')

local number = redis.call('HINCRBY', base .. 'count', 'change', 1)
local entry = {'i', id, 'w', writer, 'n', number, 'j', json}
if linger ~= '' then entry[9], entry[10] = 'l', linger end
if event_count > 0 then
  local first = math.max(last_event + 1, time[1] * 1e6 + time[2])
  redis.call('HSET', base .. 'count', 'event', string.format('%.0f', first + event_count - 1))
  local at = #entry
  entry[at + 1], entry[at + 2], entry[at + 3], entry[at + 4] = 'e', events, 'f', string.format('%.0f', first)
end
stamp = redis.call('XADD', base .. 'changes', 'MAXLEN', '~', kept_changes, '*', unpack(entry))
if number % 64 == 1 then
  redis.call('PEXPIRE', base .. 'changes', changes_ttl_ms)
  redis.call('PEXPIRE', base .. 'count', changes_ttl_ms)
end
redis.call('SET', key, stamp .. '\n' .. header .. '\n' .. json)

local lingers = pairs_of(linger)
for claim in pairs(had) do
  if not held[claim] then
    local claim_key, lapses_at = base .. 'claim:' .. claim, lingers[claim]
    if lapses_at and tonumber(lapses_at) > now then
      local ms = ms_until(tonumber(lapses_at))
      redis.call('SET', claim_key, '~' .. lapses_at, 'PX', ms)
      redis.call('ZREMRANGEBYSCORE', base .. 'lingering', '-inf', now)
      redis.call('ZADD', base .. 'lingering', lapses_at, claim)
      lives_for(base .. 'lingering', ms)
    else
      redis.call('DEL', claim_key)
    end
  end
end
for at = 1, #taken_keys do redis.call('SET', taken_keys[at], id) end
for pool in pairs(counted) do
  if not counts[pool] and redis.call('HINCRBY', base .. 'pools', pool, -1) <= 0 then
    redis.call('HDEL', base .. 'pools', pool)
  end
end
for pool in pairs(counts) do
  if not counted[pool] then redis.call('HINCRBY', base .. 'pools', pool, 1) end
end

if forget_at == '' then
  if not record then redis.call('SADD', base .. 'live', id) end
  return {'ok', stamp}
end

local ms = ms_until(tonumber(forget_at))
redis.call('PEXPIRE', key, ms)
for claim in pairs(set_of(claims_after)) do redis.call('PEXPIRE', base .. 'claim:' .. claim, ms) end
redis.call('SREM', base .. 'live', id)
redis.call('ZREMRANGEBYSCORE', base .. 'ended', '-inf', now)
redis.call('ZADD', base .. 'ended', forget_at, id)
lives_for(base .. 'ended', ms)
local over = redis.call('ZCARD', base .. 'ended') - kept_ended
if over > 0 then
  local oldest = redis.call('ZPOPMIN', base .. 'ended', math.min(over, 16))
  for at = 1, #oldest, 2 do
    local old = redis.pcall('GET', base .. 'session:' .. oldest[at])
    if type(old) == 'string' then
      for claim in pairs(set_of(string.match(old, '^[^\n]*\n([^\n]*)\n') or '')) do
        if redis.call('GET', base .. 'claim:' .. claim) == oldest[at] then
          redis.call('DEL', base .. 'claim:' .. claim)
        end
      end
    end
    redis.call('DEL', base .. 'session:' .. oldest[at])
  end
end
return {'ok', stamp}
