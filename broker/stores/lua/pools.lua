-- All counts, where the last change is still the one that the caller counted up to; else nothing.
local last = redis.call('XREVRANGE', KEYS[1] .. 'changes', '+', '-', 'COUNT', 1)
if (last[1] and last[1][1] or '0-0') ~= ARGV[1] then return false end
return redis.call('HGETALL', KEYS[1] .. 'pools')
