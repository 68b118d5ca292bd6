-- What is known of nodes: the time, the number of the last change, when each was heard, and those changed since.
local nodes, heard, changed, seq = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local since = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local last = redis.call('GET', seq) or '0'
local told = {}
if since < 0 or tonumber(last) < since then
  told = redis.call('HGETALL', nodes)
else
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', changed, '(' .. since, '+inf')) do
    local value = redis.call('HGET', nodes, name)
    if value then
      told[#told + 1] = name
      told[#told + 1] = value
    end
  end
end
return {now, last, redis.call('ZRANGE', heard, 0, -1, 'WITHSCORES'), told}
