-- A node says what it is. See broker/stores/redis_nodes.py for the keys, broker/core/node.py (heard) for the rule.
local nodes, heard, changed, seq = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local name, text, host = ARGV[1], ARGV[2], ARGV[3]
local suspect, most, forget = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, old in ipairs(redis.call('ZRANGEBYSCORE', heard, '-inf', now - forget, 'LIMIT', 0, 100)) do
  redis.call('HDEL', nodes, old)
  redis.call('ZREM', heard, old)
  redis.call('ZREM', changed, old)
end
local before = redis.call('HGET', nodes, name)
local last = tonumber(redis.call('ZSCORE', heard, name) or nil)
local steady, new, left, said
if before then steady, new, left, said = string.match(before, '^(%d+):([01]):([01]):(.*)$') end
if not last and redis.call('ZCARD', heard) >= most then return {'full'} end
if not (said and last) then before = false end
local news, since, is_new = true, string.format('%.0f', now), '1'
if before and left == '0' then
  local away = now - last > suspect
  local ok, known = pcall(cjson.decode, said)
  if ok and type(known) == 'table' and known.host ~= host and not away then return {'foreign'} end
  is_new = '0'
  if not away then
    since, is_new = steady, new
    news = said ~= text
  end
end
redis.call('HSET', nodes, name, since .. ':' .. is_new .. ':0:' .. text)
redis.call('ZADD', heard, now, name)
if news then redis.call('ZADD', changed, redis.call('INCR', seq), name) end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, forget) end
return {'ok', string.format('%.0f', now), since, is_new, news and 1 or 0}
