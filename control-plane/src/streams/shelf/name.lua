-- Names the last stream of a session, and counts it among the session's streams; a name that another stream has by now is not taken
-- back.
-- KEYS: the name, the streams (by when they expire). ARGV: the stream, whether it is new ("1"), how long it is kept in milliseconds.
local known = redis.call('GET', KEYS[1])
if ARGV[2] == '1' or not known or known == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
