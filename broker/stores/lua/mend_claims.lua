-- Sees that these sessions hold what their records say; returns {claims mended, claims that another holds too}.
local base, mended, doubled = KEYS[1], {}, {}
for _, id in ipairs(ARGV) do
  local key = base .. 'session:' .. id
  local record = redis.pcall('GET', key)
  local claims = type(record) == 'string' and string.match(record, '^[^\n]*\n([^\n]*)\n') or ''
  for claim in string.gmatch(claims, '%S+') do
    local claim_key = base .. 'claim:' .. claim
    local owner = redis.pcall('GET', claim_key)
    if type(owner) == 'table' or not owner or string.sub(owner, 1, 1) == '~' then
      redis.call('SET', claim_key, id)
      local ms = redis.call('PTTL', key)
      if ms > 0 then redis.call('PEXPIRE', claim_key, ms) end
      mended[#mended + 1] = claim
    elseif owner ~= id then
      doubled[#doubled + 1] = claim
    end
  end
end
return {mended, doubled}
