-- Takes a record that cannot be read, or that is not there any more, out of the way, and frees what it held.
-- Returns whether it was a fault: what has ended goes by itself.
-- What it is found to be must still be there as it was: ARGV[2] is its text, or '' where it is no text or nothing.
local base, id, found, kept_ms = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local key = base .. 'session:' .. id
local record = redis.pcall('GET', key)
local is_text = type(record) == 'string'
if (is_text and record or '') ~= found then return 0 end
local claims, pools = string.match(is_text and record or '', '^[^\n]*\n([^\n]*)\n([^\n]*)\n')
for claim in string.gmatch((claims or '') .. ' ' .. ARGV[4], '%S+') do
  local owner = redis.pcall('GET', base .. 'claim:' .. claim)
  if owner == id or type(owner) == 'table' then redis.call('DEL', base .. 'claim:' .. claim) end
end
for pool in string.gmatch(pools or '', '%S+') do
  if redis.call('HEXISTS', base .. 'pools', pool) == 1
      and redis.call('HINCRBY', base .. 'pools', pool, -1) <= 0 then
    redis.call('HDEL', base .. 'pools', pool)
  end
end
local lived = redis.call('SREM', base .. 'live', id)
redis.call('ZREM', base .. 'ended', id)
if redis.call('EXISTS', key) == 0 then return lived end
redis.call('RENAME', key, base .. 'aside:' .. id)
redis.call('PEXPIRE', base .. 'aside:' .. id, kept_ms)
return 1
