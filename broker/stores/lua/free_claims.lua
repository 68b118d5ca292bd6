-- Frees those of these claims whose owner is not there any more.
local base, freed = KEYS[1], {}
for _, claim in ipairs(ARGV) do
  local owner = redis.pcall('GET', base .. 'claim:' .. claim)
  if type(owner) == 'table' or (owner and string.sub(owner, 1, 1) ~= '~'
      and redis.call('EXISTS', base .. 'session:' .. owner) == 0) then
    redis.call('DEL', base .. 'claim:' .. claim)
    freed[#freed + 1] = claim
  end
end
return freed
