-- Appends events that no write makes.
local base = KEYS[1]
local epoch, events, event_count = ARGV[1], ARGV[2], tonumber(ARGV[3])
local writer, kept_changes, changes_ttl_ms = ARGV[4], ARGV[5], ARGV[6]
if redis.call('GET', base .. 'epoch') ~= epoch then return {'epoch'} end
local last_event = tonumber(redis.call('HGET', base .. 'count', 'event') or 0)
redis.call('XLEN', base .. 'changes')
local time = redis.call('TIME')
local number = redis.call('HINCRBY', base .. 'count', 'change', 1)
local first = math.max(last_event + 1, time[1] * 1e6 + time[2])
redis.call('HSET', base .. 'count', 'event', string.format('%.0f', first + event_count - 1))
local stamp = redis.call('XADD', base .. 'changes', 'MAXLEN', '~', kept_changes, '*',
  'w', writer, 'n', number, 'e', events, 'f', string.format('%.0f', first))
if number % 64 == 1 then
  redis.call('PEXPIRE', base .. 'changes', changes_ttl_ms)
  redis.call('PEXPIRE', base .. 'count', changes_ttl_ms)
end
return {'ok', stamp}
