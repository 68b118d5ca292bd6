-- A node says goodbye, or is taken out: 1 where it was there.
local nodes, heard, changed, seq = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local before = redis.call('HGET', nodes, ARGV[1])
if not before then return 0 end
local steady, new, left, said = string.match(before, '^(%d+):([01]):([01]):(.*)$')
if left ~= '0' then return 0 end
redis.call('HSET', nodes, ARGV[1], steady .. ':' .. new .. ':1:' .. said)
redis.call('ZADD', changed, redis.call('INCR', seq), ARGV[1])
return 1
