-- Compare-and-set of one text: ARGV[1] must be what is there ('': nothing); ARGV[2] is set. Returns whether it was.
local there = redis.call('GET', KEYS[1])
if (there or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
