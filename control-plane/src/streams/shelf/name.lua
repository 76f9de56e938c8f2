-- Names the last stream of a session; a name that another stream has by now is not taken back.
-- KEYS: the name. ARGV: the stream, whether it is new ("1"), the life of the name in milliseconds.
local known = redis.call('GET', KEYS[1])
if ARGV[2] == '1' or not known or known == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
end
return 1
