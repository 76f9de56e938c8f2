-- Marks quotas as contended until their windows end, and forgets those whose windows are over.
-- KEYS: hash of the ends in milliseconds by quota. ARGV: most of them, then quota and end of each.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local latest = 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if tonumber(all[i + 1]) <= now then
    redis.call('HDEL', KEYS[1], all[i])
  else
    latest = math.max(latest, tonumber(all[i + 1]))
  end
end
local room = tonumber(ARGV[1]) - redis.call('HLEN', KEYS[1])
for i = 2, #ARGV, 2 do
  if room > 0 then
    room = room - redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    latest = math.max(latest, tonumber(ARGV[i + 1]))
  end
end
if latest > 0 then
  redis.call('PEXPIREAT', KEYS[1], latest)
end
return 1
