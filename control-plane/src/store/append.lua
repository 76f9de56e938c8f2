-- Appends turns to one session: each once, in order, the oldest trimmed, the life of the session renewed.
-- KEYS: list of turns (36 characters of turn id, then JSON), set of the ids in it. Both in one slot.
-- ARGV: most turns kept, life in milliseconds, then turn id and JSON of each turn.
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2])
end
for i = 3, #ARGV, 2 do
  if redis.call('SADD', KEYS[2], ARGV[i]) == 1 then
    redis.call('RPUSH', KEYS[1], ARGV[i] .. ARGV[i + 1])
  end
end
local surplus = redis.call('LLEN', KEYS[1]) - tonumber(ARGV[1])
for _ = 1, surplus do
  redis.call('SREM', KEYS[2], string.sub(redis.call('LPOP', KEYS[1]), 1, 36))
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
