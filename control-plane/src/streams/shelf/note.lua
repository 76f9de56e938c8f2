-- Notes something of a stream, where there is one, for a control plane that does not write it.
-- KEYS: events and state. ARGV: what is noted ("delivered", "cancel" or "forgotten"), and of what was delivered up to where.
if redis.call('EXISTS', KEYS[2]) == 0 then
  return 0
end
if ARGV[1] == 'delivered' then
  local known = tonumber(redis.call('HGET', KEYS[2], 'delivered-elsewhere') or '0')
  redis.call('HSET', KEYS[2], 'delivered-elsewhere', math.max(tonumber(ARGV[2]), known))
  return 1
end
redis.call('HSET', KEYS[2], 'cancel', '1')
if ARGV[1] == 'forgotten' then
  -- What is left tells whoever still writes it to stop.
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'forgotten', '1')
  redis.call('HDEL', KEYS[2], 'head')
end
return 1
