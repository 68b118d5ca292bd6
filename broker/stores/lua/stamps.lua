-- The stamps of these sessions' records, in one text: `-` where there is none, `!` where there is no record.
local stamps = {}
for at, id in ipairs(ARGV) do
  local head = redis.pcall('GETRANGE', KEYS[1] .. 'session:' .. id, 0, 40)
  if type(head) == 'table' then
    stamps[at] = '!'
  elseif head == '' then
    stamps[at] = '-'
  else
    stamps[at] = string.match(head, '^(%d+%-%d+)\n') or '!'
  end
end
return table.concat(stamps, ' ')
