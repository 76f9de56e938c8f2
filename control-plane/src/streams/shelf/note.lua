-- Sets a field of a stream's state, where there is a stream.
-- KEYS: the state. ARGV: the field, its value.
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
return 1
