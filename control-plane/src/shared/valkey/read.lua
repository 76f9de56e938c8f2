-- Reads fields of a hash, or all of it, together with the server's time.
-- KEYS: the hash. ARGV: the fields; none for all of them.
-- Returns seconds and microseconds, then the values of the fields, or every field before its value.
local time = redis.call('TIME')
local values
if #ARGV == 0 then
  values = redis.call('HGETALL', KEYS[1])
else
  values = redis.call('HMGET', KEYS[1], unpack(ARGV))
end
return {time[1], time[2], values}
