-- Compare and set: changes those fields of a hash that still are what the caller read.
-- KEYS: the hash. ARGV: its life in milliseconds, then field, what was read and what it becomes; empty for no field.
-- Returns 1 for each that was changed and 0 for each that was not.
local results = {}
for i = 2, #ARGV, 3 do
  local field, read, new = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if (redis.call('HGET', KEYS[1], field) or '') ~= read then
    results[#results + 1] = 0
  else
    if new == '' then
      redis.call('HDEL', KEYS[1], field)
    else
      redis.call('HSET', KEYS[1], field, new)
    end
    results[#results + 1] = 1
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return results
